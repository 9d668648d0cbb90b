"""The main study as a whole, on a model and pictures of another shape than minnow's."""

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from dori.attacks.solver import solve
from dori.core.config import build
from dori.core.errors import InputError
from dori.data import KINDS
from dori.diffusion import StableDiffusion
from dori.results.budget.lines import curves
from dori.results.reading.defects import defects
from dori.steps.outcome import Outcome
from dori.steps.run import Run
from dori.steps.soundness import check_models
from dori.steps.subjects import Attacked
from tests import tiny

SETTINGS = ["original", "random", "wanda", "wanda+dori"]
Study = Callable[..., tuple[Run, list[dict], pd.DataFrame, Outcome]]


def attack_named(outcome: Outcome, name: str) -> Attacked:
    """The attack whose triggers have a name."""
    (found,) = [each for each in outcome.triggers if each.name == name]
    return found


@pytest.fixture(scope="module")
def study(v_folder: Path, table: Path, ordinary: Path, measures: Path) -> Study:
    """``study(cache, "attack.steps=3")``: the study's run, rows and images."""

    def go(cache: Path, *more: str) -> tuple[Run, list[dict], pd.DataFrame, Outcome]:
        words = tiny.study_overrides(v_folder, table, ordinary, measures, f"cache={cache}", *more)
        run = Run.configured(tiny.composed(*words))
        outcome = build(run.cfg.study)(run)
        return run, outcome.rows, outcome.images, outcome

    return go


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def first(study: Study, cache: Path) -> tuple[Run, list[dict], pd.DataFrame, Outcome]:
    return study(cache)


@pytest.fixture(scope="module")
def rows(first: tuple[Run, list[dict], pd.DataFrame, Outcome]) -> list[dict]:
    return first[1]


def named(rows: list[dict], setting: str, kind: str) -> dict[str, Any]:
    (row,) = [row for row in rows if (row["setting"], row["kind"]) == (setting, kind)]
    return row


def test_every_setting_and_kind_has_its_row(rows: list[dict]) -> None:
    expected = [(setting, kind) for setting in SETTINGS for kind in KINDS]
    expected += [(setting, "ordinary") for setting in SETTINGS[:3]]
    assert [(row["setting"], row["kind"]) for row in rows] == expected
    keys = [json.dumps([row["setting"], row["kind"], row["params"]], sort_keys=True) for row in rows]
    assert len(set(keys)) == len(keys)


def test_differences_are_those_of_the_rates_on_the_same_prompts(rows: list[dict]) -> None:
    for kind in KINDS:
        rates = {setting: named(rows, setting, kind)["metrics"]["MR"]["value"] for setting in SETTINGS}
        assert "MR_difference" not in named(rows, "original", kind)["metrics"]
        for setting, reference in (("random", "original"), ("wanda", "original"), ("wanda+dori", "wanda")):
            difference = named(rows, setting, kind)["metrics"]["MR_difference"]["value"]
            assert difference == pytest.approx(rates[setting] - rates[reference])


def test_rows_have_the_keys_of_the_contract(rows: list[dict]) -> None:
    keys = {
        "setting", "kind", "model", "pruning", "defense", "attack", "params", "metrics", "failed",
        "fingerprint", "denoiser_evaluations", "gradient_evaluations", "blank_images", "cut_prompts",
    }  # fmt: skip
    params = {
        "study", "model.images_per_prompt", "model.hash", "data.targets", "data.hash", "evaluation.threshold",
        "seed", "trainer.precision",
    }  # fmt: skip
    for row in rows:
        assert keys <= row.keys()
        assert params <= row["params"].keys()
        assert row["failed"] == []
        for metric in row["metrics"].values():
            assert {"value", "low", "high", "n"} <= metric.keys()
        json.dumps(row, allow_nan=False)


def test_a_row_says_what_was_done(rows: list[dict]) -> None:
    attacked, plain = named(rows, "wanda+dori", "verbatim"), named(rows, "original", "verbatim")
    assert (attacked["model"], attacked["pruning"], attacked["attack"]) == ("pretrained", "wanda", "dori")
    assert (plain["pruning"], plain["attack"], plain["defense"]) == ("none", "none", "none")
    assert named(rows, "random", "verbatim")["pruning"] == "random"
    shared = {"model.images_per_prompt": 2, "model.sampling_steps": 2, "model.guidance": 2.0, "seed": 0}
    own = {"attack": "dori", "steps": 2, "epsilon": None, "start": "prompt", "restarts": 1}
    cut = {"pruning": "wanda", "pruning.ratio": 0.1, "pruning.base": "empty"}
    assert attacked["params"] == attacked["params"] | shared | own | cut
    assert plain["params"] == plain["params"] | shared
    # a part that had no part is not told
    assert not plain["params"].keys() & {*own, *cut}
    random = named(rows, "random", "verbatim")["params"]
    assert random == random | cut and not random.keys() & own.keys()


def test_a_row_has_the_metrics_of_its_kind(rows: list[dict]) -> None:
    always = {
        "MR",
        "MR_mean",
        "SSCD_Orig",
        "SSCD_Orig_mean",
        "SSCD_Orig_median",
        "SSCD_Gen",
        "D_SSCD",
        "A_CLIP",
    }
    for row in rows:
        found = set(row["metrics"])
        if row["kind"] == "ordinary":
            assert {"A_CLIP", "FID", "KID"} <= found
            assert ("KID_difference" in found) == (row["setting"] != "original")
            continue
        assert always <= found
        assert ("Displacement" in found) == (row["attack"] == "dori")
        assert ("SSCD_Frame" in found) == (row["kind"] == "template")
        assert row["metrics"]["MR"]["n"] == 1
    assert named(rows, "original", "seen")["metrics"]["SSCD_Gen"]["value"] == pytest.approx(1)
    assert named(rows, "wanda+dori", "seen")["metrics"]["Displacement"]["value"] > 0


def test_evaluations_are_those_that_the_result_needs(rows: list[dict]) -> None:
    images = 2 * 2 * 2  # seeds, steps, both halves of the guidance
    mask = (2 + 1) * 2 * 2  # two memorized prompts and the empty one, used steps, halves
    assert named(rows, "original", "seen")["denoiser_evaluations"] == images
    assert named(rows, "wanda", "seen")["denoiser_evaluations"] == images + mask
    attacked = named(rows, "wanda+dori", "seen")
    assert attacked["denoiser_evaluations"] == images + mask
    assert attacked["gradient_evaluations"] == 2 * 2  # steps, pairs
    assert named(rows, "original", "ordinary")["denoiser_evaluations"] == 8 * 2 * 2


def test_there_is_a_row_for_each_image(first: tuple[Run, list[dict], pd.DataFrame, Outcome]) -> None:
    run, _, images, _ = first
    assert len(images) == len(SETTINGS) * len(KINDS) * 2
    assert not images.duplicated(["setting", "target", "seed"]).any()
    assert all(Path(file).is_file() for file in images.file)
    prompts = {target.name: target.prompt for target in run.data.targets}
    assert (images.prompt == images.target.map(prompts)).all()
    # the table of images and the rows are about the same numbers
    for row in first[1]:
        if row["kind"] != "ordinary":
            chosen = images[(images.setting == row["setting"]) & (images.kind == row["kind"])]
            assert row["metrics"]["SSCD_Orig"]["value"] == pytest.approx(chosen.sscd_orig.max(), abs=1e-5)
            assert row["metrics"]["A_CLIP"]["value"] == pytest.approx(chosen.a_clip.mean(), abs=1e-5)


def test_the_model_is_left_untouched(
    first: tuple[Run, list[dict], pd.DataFrame, Outcome], make_diffusion: Callable[..., StableDiffusion]
) -> None:
    expected = make_diffusion().denoiser.state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in first[0].diffusion.denoiser.state_dict().items())


def test_a_second_run_computes_nothing_and_reads_no_weights(
    study: Study, cache: Path, rows: list[dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    def reads(self: object) -> None:
        raise AssertionError("a run that finds all in its cache has no use for weights")

    monkeypatch.setattr(StableDiffusion, "pipeline", property(reads))
    run, again, _, _ = study(cache)
    assert all(stage.cached for stage in run.stages.results)
    assert json.dumps(again) == json.dumps(rows)


def test_another_attack_keeps_what_was_before_it(study: Study, cache: Path, rows: list[dict]) -> None:
    run, other, _, _ = study(cache, "attack.steps=1")
    fresh = {stage.name for stage in run.stages.results if not stage.cached}
    assert fresh == {"attack: dori on wanda", "images: wanda+dori", "measure: wanda+dori"}
    before = [row for row in rows if row["attack"] == "none"]
    assert [row for row in other if row["attack"] == "none"] == before
    assert (
        named(other, "wanda+dori", "seen")["fingerprint"] != named(rows, "wanda+dori", "seen")["fingerprint"]
    )


def test_a_damaged_stage_is_computed_again_and_nothing_else(
    study: Study, cache: Path, rows: list[dict], first: tuple, caplog: pytest.LogCaptureFixture
) -> None:
    (result,) = [r for r in first[0].stages.results if r.name == "mask: wanda"]
    file = result.folder / "mask.safetensors"
    file.write_bytes(file.read_bytes()[:-8])
    with caplog.at_level(logging.WARNING):
        run, again, _, _ = study(cache)
    assert str(result.folder) in caplog.text
    assert [stage.name for stage in run.stages.results if not stage.cached] == ["mask: wanda"]
    assert json.dumps(again) == json.dumps(rows)


def test_the_batch_does_not_matter(study: Study, rows: list[dict], tmp_path: Path) -> None:
    _, other, _, _ = study(tmp_path, "model.batch=2", "evaluation.batch=3")
    for one, two in zip(rows, other, strict=True):
        assert one["metrics"].keys() == two["metrics"].keys()
        for name, metric in one["metrics"].items():
            value = two["metrics"][name]["value"]
            # FID and KID count in squared distances of features
            assert value == pytest.approx(metric["value"], abs=1e-3), (one["setting"], one["kind"], name)


def test_the_order_of_the_targets_does_not_matter(study: Study, tmp_path: Path) -> None:
    run, rows, _, made = study(tmp_path / "a", "pruning=none", "data.ordinary=null")
    other = replace(Run.configured(run.cfg), data=replace(run.data, targets=run.data.targets[::-1]))
    other.stages.root = tmp_path / "b"
    turned = build(run.cfg.study)(other).rows
    for row in rows:
        metrics = named(turned, row["setting"], row["kind"])["metrics"]
        for name, metric in row["metrics"].items():
            assert metrics[name]["value"] == pytest.approx(metric["value"], abs=1e-3), (row["kind"], name)
    assert {row["setting"] for row in rows} == {"original", "original+dori"}
    assert made.mitigated is None


def test_without_ordinary_captions_there_are_no_rows_of_quality(study: Study, tmp_path: Path) -> None:
    _, rows, _, _ = study(tmp_path, "data.ordinary=null", "pruning=none", "attack=none")
    assert {row["kind"] for row in rows} == set(KINDS)
    assert {row["setting"] for row in rows} == {"original"}


def test_ordinary_captions_without_pictures_give_alignment_alone(study: Study, tmp_path: Path) -> None:
    (tmp_path / "captions.txt").write_text("\n".join(tiny.prompts(3, 30)))
    _, rows, _, _ = study(tmp_path, f"data.ordinary={tmp_path}/captions.txt", "pruning=none", "attack=none")
    (row,) = [row for row in rows if row["kind"] == "ordinary"]
    assert row["metrics"].keys() == {"A_CLIP"}
    assert row["metrics"]["A_CLIP"]["n"] == 3


def test_a_target_that_fails_is_listed_and_left_out(
    study: Study, cache: Path, rows: list[dict], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def spoilt(diffusion: StableDiffusion, latents: torch.Tensor, *rest: Any, **named: Any) -> Any:
        return solve(diffusion, torch.cat([latents[:1] * torch.nan, latents[1:]]), *rest, **named)

    monkeypatch.setattr("dori.attacks.together.solve", spoilt)
    # two targets per call: of each pair, the first fails
    run, found, _, made = study(tmp_path, "pruning=none")
    failing = [target.name for target in run.data.targets[::2]]
    assert list(attack_named(made, "original").failed) == failing
    for target in run.data.targets:
        row = named(found, "original+dori", target.kind)
        assert row["failed"] == ([target.name] if target.name in failing else [])
        assert ("MR" in row["metrics"]) == (target.name not in failing)
        json.dumps(row, allow_nan=False)


SMALL = ["pruning=none", "data.ordinary=null"]
BALL = ["attack/constraint=l2", "attack.constraint.epsilon=3.0"]


def test_budgets_are_solved_at_once_and_fill_the_entries_of_single_runs(study: Study, tmp_path: Path) -> None:
    wanted = [(steps, size) for size in (0.1, 0.2) for steps in (0, 2)]
    lists = ["attack.epsilons=[0.1,0.2]", "attack.snapshots=[0,2]"]
    _run, rows, images, made = study(tmp_path, *SMALL, *BALL, *lists)
    attacked = [row for row in rows if row["kind"] == "seen" and row["attack"] == "dori"]
    assert [(row["params"]["steps"], row["params"]["epsilon"]) for row in attacked] == wanted
    assert [row["gradient_evaluations"] for row in attacked] == [0, 4, 0, 4]  # steps x pairs
    (curve,) = curves([row for row in rows if row["params"].get("steps") != 0])
    assert [point.budget for point in curve.points] == [0.1, 0.2]
    assert len({row["fingerprint"] for row in attacked}) == 4
    assert [each.name for each in made.triggers] == [
        f"original-steps={steps}-epsilon={size}" for steps, size in wanted
    ]
    keys = [json.dumps([row["setting"], row["kind"], row["params"]], sort_keys=True) for row in rows]
    assert len(set(keys)) == len(keys)
    shots = images[images.setting == "original+dori"]
    assert not shots.duplicated(["target", "seed", "restart", "steps", "epsilon"]).any()
    # one of them alone: all there, and the same row
    alone, single, _, _ = study(
        tmp_path, *SMALL, "attack/constraint=l2", "attack.constraint.epsilon=0.2", "attack.batch=64"
    )
    assert all(stage.cached for stage in alone.stages.results)
    assert json.dumps(named(single, "original+dori", "seen")) == json.dumps(attacked[3])
    # one more: the others are not solved again
    more, _, _, _ = study(tmp_path, *SMALL, *BALL, "attack.epsilons=[0.1,0.2,0.4]", "attack.snapshots=[0,2]")
    fresh = [stage.name for stage in more.stages.results if not stage.cached]
    assert [name for name in fresh if name.startswith("attack")] == [
        f"attack: dori on original, steps={steps}, epsilon=0.4" for steps in (0, 2)
    ]


def test_every_restart_is_drawn_and_the_best_of_them_counts(study: Study, tmp_path: Path) -> None:
    _, rows, images, _ = study(tmp_path, *SMALL, "attack.restarts=3", "attack/start=gaussian")
    row = named(rows, "original+dori", "seen")
    expected = {"restarts": 3, "model.images_per_prompt": 2, "start": "gaussian"}
    assert row["params"] == row["params"] | expected
    assert row["gradient_evaluations"] == 3 * 2 * 2  # restarts, steps, pairs
    assert row["denoiser_evaluations"] == 3 * 2 * 2 * 2  # restarts, seeds, steps, halves of the guidance
    shots = images[(images.setting == "original+dori") & (images.kind == "seen")]
    assert sorted(zip(shots.restart, shots.seed, strict=True)) == [(r, j) for r in range(3) for j in range(2)]
    assert row["metrics"]["SSCD_Orig"]["value"] == pytest.approx(shots.sscd_orig.max(), abs=1e-5)
    each = (shots.groupby("restart").sscd_orig.max() > 0.7).mean()
    assert row["metrics"]["MR_restart"]["value"] == pytest.approx(each)
    assert shots.sscd_orig.nunique() == 6
    assert "MR_restart" not in named(rows, "original", "seen")["metrics"]
    # the first restart is the attack without any
    _, _, single, _ = study(tmp_path, *SMALL, "attack/start=gaussian")
    one = single[(single.setting == "original+dori") & (single.kind == "seen")]
    assert one.sscd_orig.tolist() == pytest.approx(shots[shots.restart == 0].sscd_orig.tolist(), abs=1e-3)


def test_stopping_at_replication_counts_the_work_that_was_done(study: Study, tmp_path: Path) -> None:
    """With a descriptor to which all is alike, the first look ends every attempt."""
    stop = ["attack.stop=replication", "attack.check_every=1", "attack.check_images=3"]
    for threshold, steps in ((0.9999999, -1), (0.0001, 0)):
        _run, rows, _, made = study(tmp_path, *SMALL, *stop, f"evaluation.threshold={threshold}")
        reached = attack_named(made, "original").triggers["steps_to_replication"]
        assert reached.tolist() == [steps] * 4
        row, looks = named(rows, "original+dori", "seen"), 1 if steps == 0 else 3
        work = row["metrics"]["Work"]
        assert (work["value"], work["n"]) == (None if steps else 0, 1)
        assert work["survival"][-1][:2] == ([4, 1] if steps else [0, 0])
        assert row["gradient_evaluations"] == (0 if steps == 0 else 2 * 2)
        work = 0 if steps == 0 else 4 * 2 * 2
        assert attack_named(made, "original").result.info == {"gradient_evaluations": work}
        assert row["denoiser_evaluations"] == (2 + looks * 3) * 2 * 2  # images, steps, halves of the guidance


@pytest.mark.parametrize(("words", "text"), [
    (["attack/start=ordinary", "data.ordinary=null"], "needs ordinary captions"),
    (["attack.window=[900,1200]"], "attack.window must be"),
    (["+attack.optimizer.weight_decay=-1"], "attack.optimizer cannot be used"),
])  # fmt: skip
def test_an_attack_that_cannot_be_made_is_refused_before_any_work(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], text: str
) -> None:
    def works(*arguments: object) -> None:
        raise AssertionError("a weight was read, or a stage begun")

    monkeypatch.setattr(StableDiffusion, "pipeline", property(works))
    monkeypatch.setattr("dori.core.stages.Stages.together", works)
    with pytest.raises(InputError, match=text):
        study(tmp_path, *words)


def test_the_untouched_model_is_attacked_as_well_where_asked(study: Study, cache: Path, first: tuple) -> None:
    _run, rows, _, made = study(cache, "study.attack_original=true")
    assert list(dict.fromkeys(row["setting"] for row in rows)) == [*SETTINGS, "original+dori"]
    assert {row["kind"] for row in rows if row["setting"] == "original+dori"} == set(KINDS)
    assert [row for row in rows if row["setting"] != "original+dori"] == first[1]
    ours, theirs = (attack_named(made, name).triggers for name in ("wanda", "original"))
    assert torch.equal(ours["start"], theirs["start"])
    # without a mitigation it is the attack that there is anyway
    _, rows, _, _ = study(cache, *SMALL, "study.attack_original=true")
    assert [row["setting"] for row in rows if row["kind"] == "seen"] == ["original", "original+dori"]


def test_a_twin_is_attacked_beside_the_model(
    v_folder: Path, epsilon_folder: Path, table: Path, ordinary: Path, measures: Path, tmp_path: Path
) -> None:
    twin = [
        "+model.twin._target_=dori.diffusion.StableDiffusion", "+model.twin.name=tiny_twin",
        f"+model.twin.path={v_folder}", f"+model.twin.denoiser={epsilon_folder}/unet",
        "+model.twin.sampling_steps=2", "+model.twin.guidance=2.0", "+model.twin.images_per_prompt=2",
    ]  # fmt: skip
    more = [*twin, "data.ordinary=null", f"cache={tmp_path}"]
    run = Run.configured(tiny.composed(*tiny.study_overrides(v_folder, table, ordinary, measures, *more)))
    outcome = build(run.cfg.study)(run)
    rows = outcome.rows
    assert list(dict.fromkeys(row["setting"] for row in rows)) == [
        "original", "random", "wanda", "twin", "wanda+dori", "twin+dori",
    ]  # fmt: skip
    kinds = [row["kind"] for row in rows if row["setting"].startswith("twin")]
    assert kinds == ["verbatim", "template"] * 2  # controls say nothing about a twin
    row = named(rows, "twin+dori", "verbatim")
    assert (row["model"], row["pruning"], row["attack"]) == ("tiny_twin", "none", "dori")
    # the same attack: from the same start, on the same noise
    ours, theirs = (attack_named(outcome, name).triggers for name in ("wanda", "twin"))
    assert torch.equal(ours["start"][:2], theirs["start"])
    assert not torch.equal(ours["embeddings"][:2], theirs["embeddings"])


def test_blank_pictures_have_no_rate(study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that returns NaN draws black: that is neither memorized nor forgotten."""
    decode = StableDiffusion.decode
    monkeypatch.setattr(StableDiffusion, "decode", lambda model, z: torch.zeros_like(decode(model, z)))
    _, rows, _, _ = study(tmp_path, "pruning=none", "attack=none")
    assert rows
    for row in rows:
        assert row["metrics"] == {}
        assert row["blank_images"] > 0
    assert any("pictures are of one colour, so there is no rate" in defect for defect in defects(rows))


def test_a_model_is_looked_at_once_and_then_not_read(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, rows, _, _ = study(tmp_path, "pruning=none", "attack=none")
    check_models(first.stages, first.diffusion, None)
    monkeypatch.delattr("dori.diffusion.components.load_network")
    again, same, _, _ = study(tmp_path, "pruning=none", "attack=none")
    check_models(again.stages, again.diffusion, None)
    assert all(result.cached for result in again.stages.results)
    assert same == rows


def test_prompts_that_are_cut_are_counted(study: Study, tmp_path: Path, table: Path) -> None:
    rows = pd.read_csv(table)[lambda rows: rows.kind.isin(["seen", "unseen"])].groupby("kind").head(1)
    rows["image"] = [str(table.parent / name) for name in rows.image]
    rows.loc[rows.kind == "seen", "prompt"] = " ".join(["boat"] * 40)
    rows.to_csv(tmp_path / "long.csv", index=False)
    given = ["pruning=none", "attack=none", "data.targets=1", f"data.path={tmp_path}/long.csv"]
    with pytest.raises(InputError, match=r"long\.csv, line 2: prompt of 42 tokens"):
        study(tmp_path, *given)
    _, made, _, _ = study(tmp_path, *given, "model.truncate_prompts=true")
    assert {row["kind"]: row["cut_prompts"] for row in made} == {"seen": 1, "unseen": 0, "ordinary": 0}
    assert any("1 seen prompts" in defect for defect in defects(made))
