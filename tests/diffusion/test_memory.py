"""What a model needs is what it takes: counted on fake tensors, measured by torch's profiler on real ones."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch.profiler import ProfilerActivity, profile

from dori.diffusion import pretrained
from dori.diffusion.memory import imagined, needs, pull, size
from dori.reference.shapes import SHAPES, written
from tests.diffusion.pipelines import T5_TOKENS, saved

SIZE = (64, 48)


def measured(call: Callable[[], Any]) -> int:
    """The most bytes at once, of all allocations and releases in a call, as the profiler has seen them."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as seen:
        call()
    changes = [
        (e.start_ns(), e.nbytes()) for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"
    ]
    now = most = 0
    for _, change in sorted(changes, key=lambda change: change[0]):
        now += change
        most = max(most, now)
    return most


@pytest.mark.parametrize("family", ["xl", "sd3", "flux", "pixart"])
@pytest.mark.parametrize("checkpointed", [False, True])
def test_what_is_counted_is_what_is_allocated(family: str, checkpointed: bool, tmp_path: Path) -> None:
    told = {"size": SIZE, "text_tokens": T5_TOKENS, "gradient_checkpointing": checkpointed}
    model = pretrained(str(saved(family, tmp_path / "pipeline")), name="tiny", **told)
    found = needs(model)
    for part, network in (("denoiser", model.denoiser), ("autoencoder", model.pipeline.vae)):
        weights = sum(value.numel() * value.element_size() for value in network.state_dict().values())
        assert getattr(found, part) == weights
    pull(model, 4)  # what is made once
    assert measured(lambda: pull(model, 4)) == pytest.approx(4 * found.sample, rel=0.1)


def test_the_attack_needs_what_is_there_at_once(tmp_path: Path) -> None:
    folder = str(saved("sd3", tmp_path / "pipeline"))
    there, away = (needs(pretrained(folder, name="tiny", size=SIZE, offload=each)) for each in (False, True))
    weights = there.denoiser + there.texts + there.autoencoder
    assert there.attack(100) == weights + 100 * there.sample
    assert away.attack(100) == away.denoiser + 100 * away.sample
    for each in (there, away):
        count = each.samples(10**9)
        assert each.attack(count) <= 10**9 < each.attack(count + 1)
        assert each.samples(each.attack() - 1) == 0


@pytest.mark.parametrize(("name", "denoiser", "texts"), [("pixart", 1.22, 9.52), ("sdxl", 5.14, 1.64)])
def test_true_shapes_weigh_what_is_published(
    name: str, denoiser: float, texts: float, tmp_path: Path
) -> None:
    """GB of the repositories' files in half precision."""
    model = pretrained(str(written(SHAPES[name], tmp_path / "p")), name=name, dtype="bfloat16")
    with imagined(model) as other:
        sizes = {name: size(getattr(other.pipeline, name)) / 1e9 for name in other.components.parts}
    assert sizes.pop(model.KINDS.denoiser) == pytest.approx(denoiser, rel=0.01)
    assert sizes.pop("vae") == pytest.approx(0.167, rel=0.01)
    assert sum(sizes.values()) == pytest.approx(texts, rel=0.01)
    files = [file for part in model.components.parts.values() for file in part.weights]
    assert (
        sum(file.stat().st_blocks for file in files) * 512
        < 10**7
        < sum(file.stat().st_size for file in files)
    )
