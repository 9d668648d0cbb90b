"""Every attack through the whole main study, on a tiny pipeline: its budget, its rows, its images."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

from dori.core.config import build
from dori.steps.outcome import Outcome
from dori.steps.run import Run
from dori.steps.subjects import Attacked
from tests import tiny

# of an attempt: gradient evaluations, samples forward alone, restarts
WORK = {
    "dori": (2 * 2, 0, 1), "hard_prompt": (2 * 2, 2 * 3 * 2, 1), "initial_noise": (2 * 2 * 4, 0, 1),
    "random_search": (0, 2 * 2, 1), "paraphrase": (0, 0, 2),
}  # fmt: skip
OWN = {
    "hard_prompt": ["attack.space.candidates=3"], "initial_noise": ["attack.space.steps=2"],
    "paraphrase": ["attack.restarts=2"],
}  # fmt: skip
Study = Callable[..., tuple[Run, list[dict], pd.DataFrame, Outcome]]


def attack_named(outcome: Outcome, name: str) -> Attacked:
    """The attack whose triggers have a name."""
    (found,) = [each for each in outcome.triggers if each.name == name]
    return found


@pytest.fixture(scope="module")
def study(v_folder: Path, table: Path, measures: Path, ordinary: Path) -> Study:
    def go(attack: str, cache: Path, *more: str) -> tuple[Run, list[dict], pd.DataFrame, Outcome]:
        words = [f"attack={attack}", "data.ordinary=null", "study.baseline=false", f"cache={cache}"]
        given = tiny.study_overrides(v_folder, table, ordinary, measures, *words, *OWN.get(attack, []), *more)
        run = Run.configured(tiny.composed(*given))
        outcome = build(run.cfg.study)(run)
        return run, outcome.rows, outcome.images, outcome

    return go


@pytest.fixture(scope="module", params=WORK)
def found(
    request: pytest.FixtureRequest, study: Study, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, tuple[Run, list[dict], pd.DataFrame, Outcome]]:
    cache = tmp_path_factory.mktemp(request.param)
    return request.param, cache, study(request.param, cache)


def test_an_attack_has_its_rows_with_the_work_that_it_was(found: tuple) -> None:
    name, _, (_run, rows, images, made) = found
    gradient, forward, restarts = WORK[name]
    attacked = [row for row in rows if row["setting"] == f"wanda+{name}"]
    assert [row["kind"] for row in attacked] == ["verbatim", "template", "seen", "unseen"]
    (plain,) = {row["denoiser_evaluations"] for row in rows if row["setting"] == "wanda"}
    drawn = 2 * 2 * 2  # seeds, steps, halves of the guidance
    for row in attacked:
        assert (row["attack"], row["params"]["restarts"], row["failed"]) == (name, restarts, [])
        assert row["gradient_evaluations"] == gradient * restarts
        assert row["denoiser_evaluations"] == plain - drawn + drawn * restarts + forward * restarts
    keys = [json.dumps([row["setting"], row["kind"], row["params"]], sort_keys=True) for row in rows]
    assert len(set(keys)) == len(keys)
    shots = images[images.setting == f"wanda+{name}"]
    assert len(shots) == 4 * 2 * restarts
    assert shots.groupby("target").file.nunique().eq(2 * restarts).all()
    (attack,) = [each for each in made.triggers if each.subject.name == "wanda"]
    assert attack.result.info["gradient_evaluations"] == 4 * gradient * restarts


def test_a_second_run_solves_nothing(study: Study, found: tuple) -> None:
    name, cache, (_, rows, *_) = found
    run, again, _, _ = study(name, cache, "attack.batch=64")
    assert all(stage.cached for stage in run.stages.results)
    assert json.dumps(again) == json.dumps(rows)


def test_the_model_keeps_its_weights_and_none_has_a_gradient(found: tuple, make_diffusion: Callable) -> None:
    run = found[2][0]
    expected = make_diffusion().denoiser.state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in run.diffusion.denoiser.state_dict().items())
    assert all(p.grad is None for network in run.diffusion.networks for p in network.parameters())


@pytest.mark.parametrize("name", ["hard_prompt", "initial_noise", "random_search"])
def test_an_attack_stops_at_replication(study: Study, tmp_path: Path, name: str) -> None:
    """With a descriptor to which all is alike, the first look ends every attempt."""
    words = ["attack.stop=replication", "attack.check_every=1", "pruning=none"]
    for threshold, steps in ((0.9999999, -1), (0.0001, 0)):
        _run, rows, _, made = study(name, tmp_path, *words, f"evaluation.threshold={threshold}")
        assert attack_named(made, "original").triggers["steps_to_replication"].tolist() == [steps] * 4
        row = next(row for row in rows if row["setting"] == f"original+{name}")
        assert row["gradient_evaluations"] == (WORK[name][0] if steps else 0)
        looks = 3 if steps else 1
        assert row["denoiser_evaluations"] == (2 + looks) * 2 * 2 + (WORK[name][1] if steps else 0)


def test_images_start_from_the_noise_that_was_found(study: Study, tmp_path: Path) -> None:
    """Without a share of fresh noise the seeds draw one image, and it is that of the trigger."""
    words = ["pruning=none", "data.targets=1", "attack.space.spread=0.0"]
    run, _, images, made = study("initial_noise", tmp_path, *words)
    shots = images[images.setting == "original+initial_noise"]
    assert shots.groupby("target").sscd_orig.nunique().eq(1).all()
    triggers = load_file(attack_named(made, "original").result.folder / "triggers.safetensors")
    prompts = run.diffusion.encode_prompts([target.prompt for target in run.data.targets])
    assert torch.equal(triggers["embeddings"], prompts) and torch.equal(triggers["start"], prompts)
    plain = images[images.setting == "original"]
    assert set(shots.sscd_orig).isdisjoint(plain.sscd_orig)
