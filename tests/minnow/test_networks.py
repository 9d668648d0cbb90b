"""Minnow's autoencoder and CLIP, without training them: what the recipe's parts are built on."""

import pytest
import torch
import torch.nn.functional as F

from dori.minnow import autoencoder, clip
from dori.minnow.world import population
from tests import tiny


@pytest.fixture(scope="module")
def pixels() -> torch.Tensor:
    return population.pixels(population.pictures("ordinary", 24))


def test_the_code_is_white_and_ordered(pixels: torch.Tensor) -> None:
    matrix, mean = autoencoder.code(pixels, 12)
    z = autoencoder.coded(autoencoder.to_unit(pixels), matrix, mean)
    assert z.shape == (24, 12, 8, 8)
    values = z.permute(0, 2, 3, 1).flatten(0, 2)
    torch.testing.assert_close(values.mean(0), torch.zeros(12), atol=1e-3, rtol=0)
    torch.testing.assert_close(values.T @ values / len(values), torch.eye(12), atol=1e-2, rtol=0)
    again, _ = autoencoder.code(pixels, 12)
    assert torch.equal(matrix, again)


def test_the_first_axis_of_the_code_explains_most(pixels: torch.Tensor) -> None:
    matrix, mean = autoencoder.code(pixels, 12)
    patches = F.unfold(autoencoder.to_unit(pixels), 8, stride=8).permute(0, 2, 1).flatten(0, 1) - mean
    explained = []
    for n in (1, 4, 12):
        # whitened axes are orthogonal: the patch back from its code, by least squares
        axes = matrix[:, :n]
        back = patches @ axes @ torch.linalg.pinv(axes)
        explained.append((patches - back).square().mean().item())
    assert explained[0] > explained[1] > explained[2]
    assert explained[2] < 0.3 * patches.square().mean().item()


def test_the_autoencoder_has_latents_of_an_eighth(pixels: torch.Tensor) -> None:
    model = autoencoder.build([8, 8, 16, 16], 12)
    with torch.no_grad():
        z = model.encode(autoencoder.to_unit(pixels[:2])).latent_dist.mean
        assert z.shape == (2, 12, 8, 8)
        assert model.decode(z).sample.shape == (2, 3, 64, 64)


def test_joined_halves_are_the_encoder_of_one_and_the_decoder_of_the_other(pixels: torch.Tensor) -> None:
    one, other = (autoencoder.build([8, 8, 16, 16], 4) for _ in range(2))
    x = autoencoder.to_unit(pixels[:1])
    with torch.no_grad():
        z = one.encode(x).latent_dist.mean
        expected = other.decode(z).sample
        whole = autoencoder.joined(one, other)
        torch.testing.assert_close(whole.encode(x).latent_dist.mean, z)
        torch.testing.assert_close(whole.decode(z).sample, expected)


def test_the_text_tower_gives_what_clip_itself_would() -> None:
    tokens = tiny.words()
    shape = {"text_width": 16, "text_layers": 2, "projection": 4, "vision_width": 16, "vision_layers": 1}
    model = clip.build(tokens, shape).eval()
    ids = clip.tokenize(tokens, tiny.prompts(3))
    assert ids.shape == (3, tiny.TOKENS)
    with torch.no_grad():
        ours = clip.text_encoder(model)(ids).last_hidden_state
        theirs = model.text_model(ids).last_hidden_state
    assert torch.equal(ours, theirs)
    assert ours.std() > 0.1
