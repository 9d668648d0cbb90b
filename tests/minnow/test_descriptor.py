"""Minnow's copy-detection descriptor and the loss that it learns from."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from dori.minnow import augment, descriptor, population
from dori.minnow.descriptor import Descriptor, contrastive


def unit(n: int, seed: int = 0) -> torch.Tensor:
    return F.normalize(torch.randn(n, 16, generator=torch.Generator().manual_seed(seed)), dim=1)


def test_matching_pairs_have_the_lower_loss() -> None:
    z = unit(8)
    matching = contrastive(torch.cat([z, z]), 0.05, 3.0)
    near = contrastive(torch.cat([z, F.normalize(z + 0.1 * unit(8, 1), dim=1)]), 0.05, 3.0)
    shuffled = contrastive(torch.cat([z, z.roll(1, 0)]), 0.05, 3.0)
    assert matching < near < shuffled


def test_the_contrastive_part_is_the_cross_entropy_of_the_partner() -> None:
    z = unit(6)
    losses = []
    for i in range(6):
        others = [j for j in range(6) if j != i]
        logits = torch.stack([z[i] @ z[j] for j in others]) / 0.1
        losses.append(-logits.log_softmax(0)[others.index((i + 3) % 6)])
    assert contrastive(z, 0.1, 0.0).item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)


def test_the_entropy_term_pushes_neighbours_apart() -> None:
    """The nearest neighbour is one of other pictures: neither itself nor its own other view."""
    near, far = unit(1).repeat(4, 1) + 0.05 * unit(4, 1), torch.eye(4, 16)
    for z in (near, far):
        z[:] = F.normalize(z, dim=1)
    gain = [
        contrastive(torch.cat([z, z]), 0.1, 1.0) - contrastive(torch.cat([z, z]), 0.1, 0.0)
        for z in (near, far)
    ]
    assert gain[1] < gain[0]
    assert gain[1].item() == pytest.approx(-torch.tensor(2.0).sqrt().log().item(), rel=1e-5)


def test_it_gives_unit_vectors_of_images_of_any_size() -> None:
    model = Descriptor(width=16, dim=8).eval()
    for side in (64, 32, 100):
        z = model(torch.rand(2, 3, side, side))
        assert z.shape == (2, 8)
        torch.testing.assert_close(z.norm(dim=1), torch.ones(2))


def test_an_image_is_described_for_itself() -> None:
    model, x = Descriptor(width=16, dim=8).eval(), torch.rand(3, 3, 64, 64)
    torch.testing.assert_close(model(x)[1:2], model(x[1:2]), rtol=1e-5, atol=1e-6)


def test_it_is_loaded_as_saved_but_for_half_precision(tmp_path: Path) -> None:
    model = Descriptor(width=16, dim=8).eval()
    descriptor.save(model, tmp_path / "d.safetensors")
    again = Descriptor(width=16, dim=8, path=str(tmp_path / "d.safetensors")).eval()
    x = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(again(x), model(x), atol=0.01, rtol=0.01)
    assert next(again.parameters()).dtype == torch.float32


def test_a_few_steps_of_training_tell_copies_from_others(tmp_path: Path) -> None:
    pixels = torch.from_numpy(population.pixels("ordinary", 16))
    redrawn = torch.from_numpy(population.pixels("ordinary", 16, draw=1))
    cfg = {"width": 16, "dim": 8, "batch": 16, "temperature": 0.1, "entropy": 1.0, "steps": 30, "lr": 1e-2}
    model = descriptor.train(pixels, redrawn, tmp_path, cfg, 0)
    x = pixels.permute(0, 3, 1, 2).float() / 255
    views = augment.strong(x, torch.Generator().manual_seed(5))
    with torch.no_grad():
        similarity = model(x) @ model(views).T
    same, others = similarity.diag().mean(), similarity[~torch.eye(16, dtype=torch.bool)].mean()
    assert same - others > 0.3


@pytest.mark.parametrize("edit", [augment.crop, augment.color, augment.blur, augment.noise, augment.strong])
def test_an_edit_keeps_shape_and_range_and_is_seeded(edit) -> None:
    x = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    kept = x.clone()
    one, again, other = (edit(x, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert one.shape == x.shape
    assert one.min() >= -1e-5
    assert one.max() <= 1 + 1e-5
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(x, kept)
