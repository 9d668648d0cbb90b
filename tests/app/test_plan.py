"""The plan of a job: what it foretells is what the job then does."""

from pathlib import Path

import pytest

from dori.app.plan import _timed, foretold, rehearsed, seconds
from dori.core.config import build
from dori.core.costs import Cost
from dori.steps.run import Run
from tests import tiny


@pytest.fixture
def run(v_folder: Path, table: Path, ordinary: Path, measures: Path, tmp_path: Path):
    def made(*more: str) -> Run:
        cache = f"cache={tmp_path / 'cache'}"
        words = tiny.study_overrides(v_folder, table, ordinary, measures, cache, *more)
        return Run.configured(tiny.composed(*words))

    return made


def test_the_stages_foretold_are_those_that_come_with_what_they_then_count(run) -> None:
    planned = {stage.label: stage for stage in rehearsed(run()).stages}
    assert not any(stage.cached for stage in planned.values())
    done = run()
    build(done.cfg.study)(done)
    came = {result.name: result for result in done.stages.results}
    assert set(planned) <= set(came)
    # what measures is foretold up to its first stage: the next ones depend on what that finds
    assert [name for name in came if name not in planned and not name.startswith("measure")] == []
    for name, stage in planned.items():
        assert (stage.key[1], stage.cost.forward) == (
            came[name].fingerprint, came[name].info.get("denoiser_evaluations", 0)
        )  # fmt: skip
        assert stage.cost.gradient == came[name].info.get("gradient_evaluations", 0)
    again = rehearsed(run()).stages
    assert all(stage.cached for stage in again) and foretold(run()).weights == {}


def test_what_is_there_is_told_and_what_depends_on_another_setting_is_not(run) -> None:
    first = run("attack.steps=1")
    build(first.cfg.study)(first)
    planned = {stage.label: stage.cached for stage in rehearsed(run("attack.steps=2")).stages}
    assert planned["images: original"] and planned["mask: wanda"]
    assert not planned["attack: dori on wanda"] and not planned["images: wanda+dori"]


def test_snapshots_on_the_way_of_the_longest_solve_cost_nothing_more(run) -> None:
    planned = {
        s.label: s.cost.gradient for s in rehearsed(run("attack.steps=4", "attack.snapshots=[2,4]")).stages
    }
    assert planned["attack: dori on wanda, steps=2"] == 0
    assert planned["attack: dori on wanda, steps=4"] > 0


def test_a_training_is_foretold_and_what_comes_after_it(run, ordinary: Path) -> None:
    words = (
        "pruning=none", "defense=adversarial", f"data.training={ordinary}", "defense.validation.ordinary=2",
        "defense.surrogates.pruning.steps=4", "defense.surrogates.pruning.used=2", "data.ordinary=null",
    )  # fmt: skip
    planned = [stage.label for stage in rehearsed(run(*words)).stages]
    after = planned[planned.index("training: adversarial") :]
    assert "attack: dori on adversarial" in after and "images: adversarial+dori" in after
    costs = {stage.label: stage for stage in rehearsed(run(*words)).stages}
    assert costs["training: adversarial"].cost.gradient > 0
    assert not costs["images: adversarial"].cached


def test_time_is_that_of_the_fastest_call(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([0.0, 0.4, 1.0, 1.2, 2.0, 2.5])
    monkeypatch.setattr("dori.app.plan.time.monotonic", lambda: next(now))
    assert _timed(lambda: None) == pytest.approx(0.2)
    assert seconds(Cost(10, 2), (0.5, 1.5)) == 8
