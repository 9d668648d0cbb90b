"""``evaluation.quality``: whole jobs on a tiny model, against the definitions and the pictures drawn."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import DictConfig
from PIL import Image
from scipy import linalg, stats
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer

from dori.app.overrides import as_option, groups
from dori.app.plan import rehearsed
from dori.core.config import build
from dori.core.errors import InputError
from dori.data.captioned import picture_files
from dori.metrics.networks.blip_vqa import BlipVQA
from dori.metrics.noun_chunks import noun_chunks
from dori.reference import contract
from dori.results.tables.table import blocks
from dori.steps.measuring.suites import compbench, hpdv3
from dori.steps.measuring.suites.suite import listed
from dori.steps.run import Run
from tests import tiny
from tests.metrics.test_blip_vqa import build_blip
from tests.metrics.test_hpsv3 import build_hpsv3

COUNT, REAL = 12, 14  # pictures; more of both than the tiny CLIP has features
Make = Callable[..., DictConfig]


@pytest.fixture(scope="module")
def blip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_blip(tmp_path_factory.mktemp("blip") / "tiny")


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of real pictures, one of them oblong."""
    folder = tmp_path_factory.mktemp("real")
    for i in range(REAL):
        Image.fromarray(tiny.picture(300 + i, 64, 80 if i == 3 else 64)).save(folder / f"{i:02d}.png")
    return folder


@pytest.fixture(scope="module")
def captions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("captions") / "captions.txt"
    path.write_text("\n".join(tiny.prompts(COUNT + 5, 30)) + "\n")
    return path


@pytest.fixture(scope="module")
def make(v_folder: Path, table: Path, measures: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """``make("evaluation/quality=[coco]", ...)``: the configuration of a job that prunes, and no more."""
    cache = tmp_path_factory.mktemp("cache")

    def go(*more: str) -> DictConfig:
        words = tiny.study_overrides(v_folder, table, Path("none"), measures, "attack=none", *more)
        words = [word for word in words if not word.startswith("data.ordinary=")]
        study = [] if any(word.startswith("study=") for word in more) else ["study.baseline=false"]
        return tiny.composed(*words, f"cache={cache}", *study)

    return go


@pytest.fixture(scope="module")
def coco(make: Make, real: Path, captions: Path, measures: Path) -> Make:
    def go(*more: str) -> DictConfig:
        words = [
            f"captions={captions}", f"pictures={real}", f"count={COUNT}", "resolution=64", "batch=5",
            f"cmmd.path={measures}/clip", "+cmmd.mean=[0.5,0.5,0.5]", "+cmmd.std=[0.5,0.5,0.5]",
        ]  # fmt: skip
        keys = [f"{'+' * word.startswith('+')}evaluation.quality.coco.{word.lstrip('+')}" for word in words]
        return make("evaluation/quality=[coco]", *keys, *more)

    return go


def rows_of(cfg: DictConfig, kind: str) -> tuple[Run, dict[str, dict[str, Any]]]:
    """The run, and the rows of a kind by their setting."""
    run = Run.configured(cfg)
    rows = build(cfg.study)(run).rows
    return run, {row["setting"]: row for row in rows if row["kind"] == kind}


def pictures(run: Run, row: dict[str, Any]) -> list[Path]:
    """What was drawn for a row, in the order of the prompts."""
    return sorted((run.stages.root / "images" / row["fingerprint"]).glob("*.png"))


def embedded(files: list[Path], measures: Path) -> Tensor:
    """CLIP's embeddings of the middles of pictures, by transformers alone; float64."""
    model, squares = CLIPModel.from_pretrained(measures / "clip"), []
    for file in files:
        image = Image.open(file)
        side, (width, height) = min(image.size), image.size
        left, top = (width - side) // 2, (height - side) // 2
        image = image.crop((left, top, left + side, top + side)).resize((64, 64), Image.Resampling.BICUBIC)
        squares.append(torch.from_numpy(np.array(image)).permute(2, 0, 1) / 127.5 - 1)
    with torch.no_grad():
        return model.get_image_features(pixel_values=torch.stack(squares)).pooler_output.double()


def frechet(x: np.ndarray, y: np.ndarray) -> float:
    a, b = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = linalg.sqrtm(a @ b).real
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(a + b - 2 * root))


def test_cocos_figures_are_those_of_the_pictures_that_were_drawn(
    coco: Make, real: Path, captions: Path, measures: Path
) -> None:
    run, rows = rows_of(coco(), "quality/coco")
    assert list(rows) == ["original", "wanda"]
    row = rows["wanda"]
    files = pictures(run, row)
    assert len(files) == COUNT == row["metrics"]["FID"]["n"]
    x, y = embedded(files, measures), embedded(picture_files(real), measures)
    one, other = (torch.nn.functional.normalize(side, dim=1) for side in (x, y))
    clip = CLIPModel.from_pretrained(measures / "clip")
    tokens = CLIPTokenizer.from_pretrained(measures / "clip")
    given = tokens(captions.read_text().splitlines()[:COUNT], padding=True, return_tensors="pt")
    with torch.no_grad():
        text = clip.get_text_features(given.input_ids, given.attention_mask).pooler_output
    k = lambda a, b: torch.exp(-((a[:, None] - b[None]) ** 2).sum(-1) / 200).mean()  # noqa: E731
    expected = {
        "FID": frechet(one.numpy(), other.numpy()),  # minnow's features are CLIP's, of length one
        "CLIP_FID": frechet(x.numpy(), y.numpy()),
        "CMMD": float(1000 * (k(one, one) + k(other, other) - 2 * k(one, other))),
        "A_CLIP": float(torch.cosine_similarity(x, text.double()).mean()),
    }  # fmt: skip
    n, m, d = len(one), len(other), one.shape[1]
    kernel = lambda a, b: (a @ b.T / d + 1) ** 3  # noqa: E731
    own = [(kernel(a, a).sum() - kernel(a, a).trace()) / (len(a) * (len(a) - 1)) for a in (one, other)]
    expected["KID"] = float(sum(own) - 2 * kernel(one, other).sum() / (n * m))
    for name, value in expected.items():
        assert row["metrics"][name]["value"] == pytest.approx(value, rel=2e-2, abs=1e-6), name
    first = rows["original"]["metrics"]
    for name in ("A_CLIP", "KID"):
        change = row["metrics"][f"{name}_difference"]["value"]
        assert change == pytest.approx(row["metrics"][name]["value"] - first[name]["value"], abs=1e-9)
        assert f"{name}_difference" not in first


def test_a_row_tells_the_suite_and_nothing_else_does(coco: Make, make: Make) -> None:
    with_suite, without = Run.configured(coco()), Run.configured(make())
    assert with_suite.evaluation.identity == without.evaluation.identity
    assert with_suite.settings == without.settings
    rows = build(coco().study)(with_suite).rows
    told = {row["kind"]: row["params"].get("evaluation.quality.coco.count") for row in rows}
    assert told.pop("quality/coco") == COUNT and set(told.values()) == {None}
    assert [row for row in rows if row["kind"] != "quality/coco"] == build(make().study)(without).rows
    assert contract.unexplained(rows) == []
    (block,) = (each for each in blocks(rows) if each.title == "Quality: coco")
    assert block.columns[2:7] == ("FID", "KID", "CLIP_FID", "CMMD", "A_CLIP") and len(block.lines) == 2


def test_real_pictures_are_looked_at_once(coco: Make) -> None:
    run = Run.configured(coco())
    build(run.cfg.study)(run)
    again = Run.configured(coco())
    build(again.cfg.study)(again)
    assert all(stage.cached for stage in again.stages.results)
    seen = [stage for stage in again.stages.results if stage.name.startswith("measure: real pictures")]
    assert len(seen) == 1


def test_a_plan_knows_the_pictures_of_a_suite(coco: Make, tmp_path: Path) -> None:
    run = Run.configured(coco(f"cache={tmp_path}"))
    found = {each.label: each.cost.forward for each in rehearsed(run).stages}
    assert found["images: original, quality/coco"] == COUNT * run.diffusion.evaluations_per_image


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("evaluation.quality.coco.count=99", "has 17 prompts, and count is 99"),
        ("evaluation.quality.coco.count=0", "count must be above zero"),
        ("evaluation.quality.coco.pictures=nowhere", "evaluation.quality.coco: nowhere does not exist"),
        ("evaluation.quality.coco.captions=nowhere.txt", "nowhere.txt does not exist"),
        ("evaluation.quality.coco.cmmd.path=nowhere", "no CLIP at nowhere"),
    ],
)
def test_what_a_suite_lacks_is_said_before_any_work(coco: Make, word: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Run.configured(coco(word))


def test_colour_is_the_mean_over_prompts_of_the_product_over_chunks(
    make: Make, blip: Path, captions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compbench, "check_spacy", lambda pipeline: None)
    monkeypatch.setattr(compbench, "noun_chunks", lambda texts, _: [text.split(" on ") for text in texts])
    prompts, asks = captions.read_text().splitlines()[:4], BlipVQA(blip)
    words = {"path": captions, "count": 4, "images": 3, "batch": 7, "blip.path": blip}
    keys = [f"evaluation.quality.compbench.{key}={value}" for key, value in words.items()]
    run, rows = rows_of(make("evaluation/quality=[compbench]", *keys), "quality/compbench")
    sure: dict[str, list[float]] = {}
    for setting, row in rows.items():
        files = iter(pictures(run, row))
        for prompt in prompts:  # "a red boat on a lake": two questions of each picture
            of_each = []
            for _ in range(3):
                image = torch.from_numpy(np.array(Image.open(next(files)))).permute(2, 0, 1)[None] / 255
                of_each.append(np.prod([asks(image, [[f"{c}?"]]).item() for c in prompt.split(" on ")]))
            sure.setdefault(setting, []).append(float(np.mean(of_each)))
    for setting, values in sure.items():
        figure = rows[setting]["metrics"]["Color"]
        half = stats.t.ppf(0.975, 3) * np.std(values, ddof=1) / 2
        assert figure["value"] == pytest.approx(np.mean(values), rel=1e-4) and figure["n"] == 4
        assert figure["high"] - figure["value"] == pytest.approx(half, rel=1e-3)
    change = np.subtract(sure["wanda"], sure["original"])
    assert rows["wanda"]["metrics"]["Color_difference"]["value"] == pytest.approx(change.mean(), abs=1e-6)
    assert "Color_difference" not in rows["original"]["metrics"] and change.any()


def test_hpsv3_is_a_mean_over_pictures_and_over_those_of_each_category(make: Make, tmp_path: Path) -> None:
    texts, (network, base) = iter(tiny.prompts(36, 3)), build_hpsv3(tmp_path)
    for category in hpdv3.CATEGORIES:
        items = [{"caption": next(texts), "image_path": f"{i}.jpg"} for i in range(3)]
        (tmp_path / f"benchmark_{category}.json").write_text(json.dumps(items))
    words = {"path": tmp_path, "count": 1, "network.path": network, "network.base": base}
    keys = [f"evaluation.quality.hpsv3.{key}={value}" for key, value in words.items()]
    run, rows = rows_of(make("evaluation/quality=[hpsv3]", *keys), "quality/hpsv3")
    (scorer,) = run.evaluation.made.quality["hpsv3"].networks
    scores: dict[str, list[float]] = {}
    for setting, row in rows.items():
        for file, prompt in zip(pictures(run, row), tiny.prompts(36, 3)[::3], strict=True):
            image = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)[None] / 255
            scores.setdefault(setting, []).append(scorer(image, [prompt]).item())
        told = row["metrics"]
        assert told["HPSv3"]["value"] == pytest.approx(np.mean(scores[setting]), abs=0.02)
        assert told["HPSv3/Natural_Scenery"]["value"] == pytest.approx(scores[setting][5], abs=0.05)
        assert told["HPSv3"]["n"] == 12 and told["HPSv3/Others"]["n"] == 1
    change = np.subtract(scores["wanda"], scores["original"]).mean()
    assert rows["wanda"]["metrics"]["HPSv3_difference"]["value"] == pytest.approx(change, abs=0.02)
    assert contract.unexplained([*rows.values()]) == []
    (tmp_path / "benchmark_Food.json").unlink()
    with pytest.raises(InputError, match=r"evaluation.quality.hpsv3: .*benchmark_Food.json does not exist"):
        Run.configured(make("evaluation/quality=[hpsv3]", *keys))


def test_published_prompts_come_with_the_package(make: Make, blip: Path) -> None:
    """The first and the last of T2I-CompBench's 300; without spaCy, the extra and the pipeline are named."""
    cfg = make(
        "evaluation/quality=[compbench]", f"evaluation.quality.compbench.blip.path={blip}",
        "evaluation.quality.compbench.spacy=no_such_pipeline",
    )  # fmt: skip
    prompts = listed(cfg.evaluation.quality.compbench.path)
    assert len(prompts) == 300 and prompts[0] == "a green bench and a blue bowl"
    assert prompts[-1] == "a black bathroom with a black and white shower curtain"
    with pytest.raises(InputError, match=r"no_such_pipeline: pip install 'dori\[quality\]'"):
        Run.configured(cfg)


def test_noun_chunks_are_spacys() -> None:
    pytest.importorskip("en_core_web_sm", reason="spaCy's pipeline is not installed")
    prompts = ["a green bench and a blue bowl", "A traffic light with a smile green light above a red sign."]
    assert noun_chunks(prompts, "en_core_web_sm") == [
        ["a green bench", "a blue bowl"], ["A traffic light", "a smile green light", "a red sign"],
    ]  # fmt: skip


@pytest.mark.parametrize("study", ["extraction", "subspace", "transfer", "locality", "audit"])
def test_a_study_that_draws_nothing_of_a_suite_refuses_it(coco: Make, study: str) -> None:
    cfg = coco(f"study={study}")
    run = Run.configured(cfg)
    with pytest.raises(InputError, match=rf"study={study} measures no quality, .*quality=\[coco\]"):
        build(cfg.study)(run)


def test_suites_are_chosen_with_a_dot_too() -> None:
    known = groups()
    assert as_option("evaluation.quality=[coco,hpsv3]", known) == "evaluation/quality=[coco,hpsv3]"
    assert as_option("evaluation.quality=coco", known) == "evaluation/quality=coco"
    assert as_option("evaluation.quality=[mine]", known) == "evaluation.quality=[mine]"
