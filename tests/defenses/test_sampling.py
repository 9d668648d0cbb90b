"""Mitigations at inference: what they change, and that they leave everything else as it was."""

import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dori.attacks.words import vocabulary
from dori.core.config import build
from dori.core.errors import InputError
from dori.defenses.guards.sampling import BosAttention, EmbeddingAdjustment, RandomTokens
from dori.diffusion import StableDiffusion
from dori.steps.run import Run
from tests import tiny

Study = Callable[..., tuple[Run, list[dict], pd.DataFrame]]


@pytest.fixture(scope="module")
def diffusion(make_diffusion: Callable[..., StableDiffusion]) -> StableDiffusion:
    return make_diffusion("epsilon")


@given(count=st.integers(1, 6), seed=st.integers(0, 5), which=st.integers(0, 40))
def test_words_are_added_and_none_is_lost(
    diffusion: StableDiffusion, count: int, seed: int, which: int
) -> None:
    (prompt,) = tiny.prompts(1, which)
    guard = RandomTokens("random_tokens", count, seed)
    (text,) = guard.texts(diffusion, [prompt])
    assert guard.texts(diffusion, ["a boat", prompt])[1] == text
    words, rest = text.split(), prompt.split()
    assert len(words) == len(rest) + count
    known = {diffusion.tokenizer.decode([i]).strip() for i in vocabulary(diffusion.tokenizer).tolist()}
    left = iter(words)
    assert all(word in left for word in rest)  # in their order
    assert set(words) <= known | set(rest)


def size(diffusion: StableDiffusion, y: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    t = torch.full((len(z),), diffusion.schedule.first(diffusion.sampling_steps, diffusion.latent_shape))
    with torch.no_grad():
        nothing = diffusion.predict(z, t, diffusion.empty.expand_as(y))
        added = diffusion.predict(z, t, y) - nothing
    return added.flatten(1).norm(dim=1) / math.sqrt(added[0].numel())


def test_the_noise_that_the_prompt_adds_is_lowered_to_the_target(diffusion: StableDiffusion) -> None:
    y = diffusion.encode_prompts(tiny.prompts(6))
    z = torch.randn(6, *diffusion.latent_shape, generator=torch.Generator().manual_seed(0))
    before = size(diffusion, y, z)
    target = float(before.median())
    guard = EmbeddingAdjustment("embedding_adjustment", target, steps=100, lr=0.02)
    found = guard.embeddings(diffusion, y, z)
    assert (size(diffusion, found, z) <= target * 1.001).all()
    fine = before <= target
    assert fine.any()
    assert torch.equal(found[fine], y[fine])
    alone = guard.embeddings(diffusion, y[4:5], z[4:5])
    torch.testing.assert_close(found[4:5], alone, rtol=1e-3, atol=1e-3)
    # it may stop before it has arrived
    short = EmbeddingAdjustment("embedding_adjustment", 1e-6, steps=1, lr=0.02).embeddings(diffusion, y, z)
    assert (short - y).abs().max() <= 0.02 * 1.01


def test_the_first_logit_is_rescaled(diffusion: StableDiffusion) -> None:
    """One layer's attention, written out; and the same as before afterwards."""
    layer = diffusion.denoiser.get_submodule("down_blocks.0.attentions.0.transformer_blocks.0.attn2")
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 9, layer.to_q.in_features, generator=generator)
    y = torch.randn(2, 5, layer.to_k.in_features, generator=generator)

    def written_out(scale: float) -> torch.Tensor:
        q, k, v = (
            part.unflatten(-1, (layer.heads, -1)).transpose(1, 2)
            for part in (layer.to_q(x), layer.to_k(y), layer.to_v(y))
        )
        logits = q @ k.transpose(-1, -2) * layer.scale
        logits = torch.cat([logits[..., :1] * scale, logits[..., 1:]], -1)
        return layer.to_out[0]((logits.softmax(-1) @ v).transpose(1, 2).flatten(2))

    with torch.no_grad():
        expected = {scale: written_out(scale) for scale in (1.0, 2.5)}
        with BosAttention("bos_attention", 2.5).sampling(diffusion):
            inside = layer(x, y)
        after = layer(x, y)
    torch.testing.assert_close(inside, expected[2.5], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(after, expected[1.0], rtol=1e-4, atol=1e-5)
    assert (inside - after).abs().max() > 1e-3


def test_the_sampler_meets_the_guard_and_the_attacks_loss_does_not(diffusion: StableDiffusion) -> None:
    y = diffusion.encode_prompts(tiny.prompts(2))
    z = torch.randn(2, *diffusion.latent_shape, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([500, 700])
    plain = diffusion.sample(y, z)
    for guard in (EmbeddingAdjustment("a", 1e-6, 5, 0.5), BosAttention("b", 8.0)):
        guarded = diffusion.guarded(guard)
        assert not torch.equal(guarded.sample(y, z), plain)
        assert torch.equal(guarded.loss(z, y, z, t), diffusion.loss(z, y, z, t))
        assert torch.equal(diffusion.sample(y, z), plain)
    words = diffusion.guarded(RandomTokens("c"))
    assert torch.equal(words.sample(y, z), plain)
    assert not torch.equal(words.read(tiny.prompts(2)), y)
    assert torch.equal(words.encode_prompts(tiny.prompts(2)), y)


@pytest.fixture(scope="module")
def study(
    v_folder: Path, table: Path, ordinary: Path, measures: Path, tmp_path_factory: pytest.TempPathFactory
) -> Study:
    """``study("bos_attention", ...)``: the main study of a mitigation; all share one cache."""
    cache = tmp_path_factory.mktemp("cache")

    def go(option: str, *more: str) -> tuple[Run, list[dict], pd.DataFrame]:
        words = (f"cache={cache}", f"defense={option}", "pruning=none", *more)
        run = Run.configured(
            tiny.composed(*tiny.study_overrides(v_folder, table, ordinary, measures, *words))
        )
        outcome = build(run.cfg.study)(run)
        return run, outcome.rows, outcome.images

    return go


@pytest.mark.parametrize(("option", "more"), [
    ("random_tokens", ()), ("embedding_adjustment", ("defense.target=1e-6",)),
    ("bos_attention", ("defense.scale=9.0",)),
])  # fmt: skip
def test_the_study_of_a_mitigation_at_inference(study: Study, option: str, more: tuple[str, ...]) -> None:
    run, rows, _ = study(option, *more)
    settings = list(dict.fromkeys(row["setting"] for row in rows))
    assert settings == ["original", option, f"{option}+dori"]
    one = next(row for row in rows if (row["setting"], row["kind"]) == (option, "verbatim"))
    assert one["defense"] == option
    assert one["metrics"]["SSCD_Gen"]["value"] < 1  # other pictures than the original's
    again, *_ = study(option, *more)
    assert all(stage.cached for stage in again.stages.results)
    assert run.diffusion.guard is None


def test_there_is_nothing_to_save(study: Study) -> None:
    with pytest.raises(InputError, match="changes no weights, and there are none to save"):
        study("bos_attention", "save_model=true")


@pytest.mark.parametrize("word", [
    "defense.count=0", "defense.target=0", "defense.steps=0", "defense.scale=-1",
])  # fmt: skip
def test_settings_that_mean_nothing_are_refused(word: str) -> None:
    option = {"count": "random_tokens", "scale": "bos_attention"}.get(word[8:13], "embedding_adjustment")
    with pytest.raises(InputError, match=f"{word.split('=')[0]} must be above zero"):
        build(tiny.composed(f"defense={option}", word).defense)


def test_a_guard_costs_what_it_says(diffusion: StableDiffusion, monkeypatch: pytest.MonkeyPatch) -> None:
    y, calls = diffusion.encode_prompts(tiny.prompts(2)), []
    z = torch.randn(2, *diffusion.latent_shape, generator=torch.Generator().manual_seed(0))
    predict = StableDiffusion.predict

    def counted(self: StableDiffusion, z_t: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        calls.append(len(z_t))
        return predict(self, z_t, *rest)

    monkeypatch.setattr(StableDiffusion, "predict", counted)
    guard = EmbeddingAdjustment("a", 1e-9, 3)
    guard.embeddings(diffusion, y, z)
    assert sum(calls) <= 2 * guard.samples
