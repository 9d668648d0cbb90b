"""What every study works with: what its results depend on."""

import pytest

from dori.steps.run import arithmetic
from tests.tiny import composed


@pytest.mark.parametrize(("words", "same"), [
    (["trainer=ddp", "trainer.devices=2"], True),
    (["trainer.accelerator=cpu"], True),
    (["+trainer.enable_progress_bar=false"], True),
    (["trainer.plugins=null"], True),  # the environment that ranks are started in
    (["trainer.precision=bf16-mixed"], False),
    (["+trainer.gradient_clip_val=0.5"], False),
    (["trainer._target_=tests.tiny.composed"], False),
    (["trainer.plugins=[{_target_: lightning.pytorch.plugins.HalfPrecision}]"], False),
])  # fmt: skip
def test_results_depend_on_how_a_trainer_computes_and_not_on_where(words: list[str], same: bool) -> None:
    usual, other = (arithmetic(composed(*some).trainer) for some in ([], words))
    assert (usual == other) is same
