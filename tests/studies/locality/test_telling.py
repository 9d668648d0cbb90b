"""What the locality study says, whichever way its numbers fall. No figure in here was ever measured."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dori.app.findings import STUDY, findings
from dori.app.report import write_sweep_report
from dori.studies.locality.telling import verdict as locality
from dori.studies.locality.telling.tables import tables

PARAMS = {STUDY: "dori.studies.locality.study.locality", "steps": 50, "restarts": 8, "seed": 0}
Rows = list[dict[str, Any]]
GROUPS = ("one image", "different images", "memorized prompts", "ordinary prompts", "random embeddings")
LAYERS = ("down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_v",
          "mid_block.attentions.0.transformer_blocks.0.ff.net.2")  # fmt: skip


def figure(value: float, half: float = 0.02, n: int = 6) -> dict[str, Any]:
    return {"value": value, "low": value - half, "high": value + half, "n": n}


def row(setting: str, kind: str, metrics: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "setting": setting, "kind": kind, "model": "minnow", "pruning": "none", "defense": "none",
        "attack": "dori", "params": PARAMS, "metrics": metrics, "failed": [],
        "fingerprint": "f00d", "denoiser_evaluations": 0, "gradient_evaluations": 0, **more,
    }  # fmt: skip


@pytest.fixture
def told(make_rows: Callable[..., Rows]) -> Callable[..., Rows]:
    """``told(ratio=0.3, own=0.0, others=0.9, used=0.0, iou=1.6)``: rows of a study with such results."""

    def make(
        ratio: float = 1.0,
        own: float = 0.8,
        others: float = 0.8,
        used: float = 0.1,
        iou: float = 1.0,
        fall: float = 0.4,
        half: float = 0.02,
    ) -> Rows:
        hits = {"original": {"verbatim": 47, "unseen": 0}, "original+dori": {"verbatim": 48, "unseen": 1}}
        rows = make_rows(hits=hits, fid={})
        counts = {"Triggers": {"value": 90, "low": None, "high": None, "n": 144}, "Share": figure(0.6),
                  "Images": {"value": 6, "low": None, "high": None, "n": 9}}  # fmt: skip
        rows.append(row("triggers", "triggers", counts, left_out=["template/000", "template/001"]))
        for group in (*GROUPS, "trigger and its start"):
            apart = 9.0 if group == "trigger and its start" else 20.0
            metrics = {name: figure(apart) for name in ("L2", "Cosine", "Token_L2")}
            metrics |= {"L2_ratio": figure(ratio, half)} if group == GROUPS[0] else {}
            rows.append(row(group, "embeddings", metrics))
        points = [[0.1 * i, -0.2 * i, i % 9, i % 2 == 1] for i in range(36)]
        rows.append(row("starts and ends", "map", {}, points={"PCA": points, "t-SNE": points}))
        for group in GROUPS[:2]:
            rows.append(
                row(
                    group,
                    "path",
                    {f"MR/{at}": figure(0.5) for at in ("0", "0.5", "1")} | {"MR_fall/0.5": figure(fall)},
                )
            )
        for group in GROUPS:
            metrics = {"Relative_L2": figure(0.9)} | {f"Relative_L2/{name}": figure(0.8) for name in LAYERS}
            metrics |= {"Relative_L2_ratio": figure(ratio, half)} if group == GROUPS[0] else {}
            rows.append(row(group, "activations", metrics))
        for method in ("nemo", "wanda"):
            for group in GROUPS:
                metrics = {
                    name: figure(0.4) for name in ("IoU", "IoU_with_empty", "IoU_chance", "Empty", "Selected")
                }
                metrics |= {"IoU_ratio": figure(iou, half)} if group == GROUPS[0] else {}
                rows.append(row(f"{method}: {group}", "weights", metrics))
            rows.append(
                row(f"{method}: no pruning", "cuts", {"Left/0": figure(0.95), "FID/0": figure(18, n=128)})
            )
            for what, left in (("own triggers", own), ("other images' triggers", others),
                               ("ordinary prompts", 0.9), ("random weights", 0.9)):  # fmt: skip
                cut = {"Left": left, "Used": used, "FID": 20.0, "Weights": 900.0}
                if what == "own triggers":
                    cut |= {"Fall": 0.95 - own, "Used_fall": 0.95 - used, "Below_others": others - own}
                metrics = {f"{name}/{k}": figure(value) for k in (1, 4) for name, value in cut.items()}
                rows.append(row(f"{method}: {what}", "cuts", metrics))
        names = ("magnitude", "nemo", "saliency", "wanda")
        for i, a in enumerate(names):
            for b in names[i:]:
                metrics = {f"{name}/{some}": figure(0.2) for name in ("IoU", "IoU_different", "IoU_chance")
                           for some in ("values", "feed_forward")}  # fmt: skip
                rows.append(row(f"{a} and {b}", "criteria", metrics))
        return rows

    return make


CASES = {
    "local": {"own": 0.0, "used": 0.0, "others": 0.9},
    "unspecific": {"own": 0.3, "others": 0.3},
    "own_only": {"own": 0.94, "used": 0.1},
    "not_local": {"own": 0.94, "used": 0.94},
    "partly": {"own": 0.5, "others": 0.9},
}


@pytest.mark.parametrize("code", CASES)
def test_only_an_images_own_weights_that_stop_all_make_it_local(code: str, told: Callable[..., Rows]) -> None:
    verdict = locality.verdicts(told(**CASES[code]))["cuts"]
    assert verdict.code == code
    assert verdict.figures and len(verdict.figures.lines) == 6


@pytest.mark.parametrize(("ratio", "half", "code"), [
    (0.3, 0.02, "local"), (0.8, 0.02, "closer"), (0.95, 0.02, "closer"), (0.95, 0.06, "undecided"),
    (0.97, 0.06, "not_local"), (1.0, 0.02, "not_local"), (1.5, 0.02, "not_local"),
])  # fmt: skip
def test_alike_is_what_the_interval_tells_from_the_margin(
    ratio: float, half: float, code: str, told: Callable[..., Rows]
) -> None:
    found = locality.verdicts(told(ratio=ratio, half=half))
    assert found["embeddings"].code == found["activations"].code == code
    borne = {"not_local": "is borne out", "local": "is not borne out", "undecided": "is undecided here"}
    assert borne.get(code, "is borne out in part") in str(found["embeddings"])


def test_without_an_interval_everything_is_undecided(told: Callable[..., Rows]) -> None:
    """As with fewer than five images."""
    rows = told()
    for each in rows:
        for metric in each["metrics"].values():
            if each["kind"] in locality.CLAIMS or each["kind"] in ("cuts", "path"):
                metric |= {"low": None, "high": None}
    assert {verdict.code for verdict in locality.verdicts(rows).values()} == {"undecided"}


@pytest.mark.parametrize(("iou", "half", "code"), [
    (1.6, 0.02, "more"), (1.0, 0.05, "not_local"), (1.0, 0.2, "undecided"), (0.5, 0.2, "not_local"),
])  # fmt: skip
def test_weights_agree_no_more_only_where_that_is_shown(
    iou: float, half: float, code: str, told: Callable[..., Rows]
) -> None:
    assert locality.verdicts(told(iou=iou, half=half))["weights"].code == code


@pytest.mark.parametrize(("fall", "said"), [(0.4, "some pairs"), (0.0, "as at the ends")])
def test_a_line_is_compared_with_its_ends(fall: float, said: str, told: Callable[..., Rows]) -> None:
    assert said in str(locality.verdicts(told(fall=fall))["embeddings"])


def test_what_bears_on_the_claim_is_said(told: Callable[..., Rows]) -> None:
    text = str(locality.verdicts(told())["embeddings"])
    assert "90 triggers of 6 images" in text and "144 attempts" in text
    assert "fewer than two triggers: template/000, template/001" in text
    assert "nearer to its start" in text
    assert "at 0.5, the image comes in 0.50 [0.48, 0.52] (n = 6)" in text
    assert "claim, that triggers of one image lie all over the embedding space, is borne out here" in text
    more = locality.verdicts(told(iou=1.6))["weights"]
    assert "agree more" in more.headline and "borne out in part" in str(more) and "own figure" in str(more)


def test_figures_and_tables_are_told_from_the_rows_alone(told: Callable[..., Rows], tmp_path: Path) -> None:
    rows = told()
    for finding in findings(rows):
        finding.write(tmp_path / finding.file)
        with Image.open(tmp_path / finding.file) as image:
            assert image.width > 700
        for block in finding.tables:
            assert all(len(line) == len(block.columns) for line in block.lines)
    (cuts,) = tables(rows, "cuts")
    assert (
        "nemo: own triggers",
        "1",
        "0.80 [0.78, 0.82]",
        "0.10 [0.08, 0.12]",
        "20.0",
        "900",
        "6",
    ) in cuts.lines
    write_sweep_report(tmp_path / "report.html", rows, None, [])
    assert "Pruned by some triggers" in (tmp_path / "report.html").read_text()


def test_a_method_that_selects_nothing_is_not_said_to_fail(told: Callable[..., Rows]) -> None:
    rows = told()
    for each in rows:
        if each["setting"] == "nemo: own triggers":
            each["metrics"]["Weights/1"] = figure(0)
    verdict = locality.verdicts(rows)["cuts"]
    assert verdict.code == "mixed"
    assert "nemo: nothing is selected to prune" in verdict.headline


def test_without_triggers_it_says_so(told: Callable[..., Rows]) -> None:
    rows = [r for r in told() if r["kind"] in ("verbatim", "unseen", "triggers")]
    (finding,) = findings(rows)
    assert finding.verdicts[0][1].code == "no_triggers"
    assert finding.tables == []
