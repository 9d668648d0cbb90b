"""The stage of a mask: it tells how far it is, sample by sample."""

from pathlib import Path

import pytest

from dori.core.progress import Listener, told_to
from dori.steps.prune import prune
from dori.steps.run import Run
from tests import tiny


class Shares(Listener):
    """What it is told of each stage."""

    def __init__(self) -> None:
        self.found: list[float] = []

    def advanced(self, share: float) -> None:
        self.found.append(share)


@pytest.mark.parametrize("method", ["wanda", "magnitude"])
def test_a_mask_tells_its_share_of_the_samples_that_were_foretold(
    method: str, v_folder: Path, table: Path, ordinary: Path, measures: Path, tmp_path: Path
) -> None:
    own = {"wanda": ["ratio=0.1", "steps=4", "used=2"], "magnitude": ["ratio=0.1", "like=null"]}[method]
    words = tiny.study_overrides(v_folder, table, ordinary, measures, "pruning=none", f"cache={tmp_path}")
    words = [
        *(w for w in words if w != "pruning=none"),
        f"pruning={method}",
        *(f"pruning.{word}" for word in own),
    ]
    run = Run.configured(tiny.composed(*words))
    assert run.pruning is not None
    told = Shares()
    with told_to(told):
        prune(run, run.original, run.pruning)
    assert told.found == sorted(told.found)
    assert (told.found[-1], len(told.found) > 2) == (1.0, True) if method == "wanda" else not told.found
