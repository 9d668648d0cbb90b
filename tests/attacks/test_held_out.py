"""Attacks that no defense is trained on: each with the property that makes it what it is."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dori.attacks.constraints import l2_ball, linf_ball
from dori.attacks.paraphrase import paraphrase, paraphrases
from dori.attacks.random_search import RandomSearch
from dori.attacks.spaces.initial_noise import on_sphere
from dori.attacks.starts import Attempt
from dori.attacks.words import text_of, vocabulary
from dori.core.errors import InputError
from dori.core.randomness import generator
from dori.data import Data, Ordinary, Target
from dori.diffusion import StableDiffusion, pretrained
from dori.diffusion.images import blended
from tests import tiny
from tests.attacks.held_out import DATA, TARGETS, attack, solved
from tests.diffusion.pipelines import T5_TOKENS, saved

NAMES = ["hard_prompt", "initial_noise", "random_search", "paraphrase"]
QUICK = {"hard_prompt": ["attack.space.candidates=3"], "initial_noise": ["attack.space.steps=2"]}
WORDS = st.lists(st.sampled_from(["a", "red", "Red", "boat", "on", "hill"]), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def model(make_diffusion: Callable[..., StableDiffusion]) -> StableDiffusion:
    return make_diffusion("v_prediction", dtype="float64")


@pytest.mark.parametrize("name", NAMES)
def test_a_target_alone_in_any_batch_has_the_same_trigger(model: StableDiffusion, name: str) -> None:
    chosen = attack(name, *QUICK.get(name, []))
    together, alone = solved(chosen, model, [0, 1, 2]), solved(chosen, model, [2], batch=1)
    rows = slice(2 * chosen.restarts, 3 * chosen.restarts)
    for key, value in alone.items():
        torch.testing.assert_close(together[key][rows], value, rtol=1e-5, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize("name", NAMES)
def test_samples_through_the_unet_are_those_that_are_counted(model: StableDiffusion, name: str) -> None:
    chosen, samples = attack(name, *QUICK.get(name, [])), [0, 0]

    def count(_layer: object, inputs: tuple) -> None:
        samples[0] += len(inputs[0])

    hook = model.denoiser.register_forward_pre_hook(count)
    solved(chosen, model, [0, 1])
    hook.remove()
    steps = chosen.budgets[0].steps
    # a checkpoint's second pass is how the gradient is made
    gradient = chosen.evaluations(model, 2, steps) * (2 if name == "initial_noise" else 1)
    assert samples[0] == gradient + chosen.forwards(model, 2, steps)
    assert all(p.grad is None for network in model.networks for p in network.parameters())


@pytest.mark.parametrize("true_guidance", [1, 2])
def test_where_the_model_is_told_its_guidance_there_is_one_half(tmp_path: Path, true_guidance: float) -> None:
    model = pretrained(
        str(saved("flux", tmp_path / "pipeline")), name="tiny", text_tokens=T5_TOKENS, sampling_steps=2,
        size=(tiny.SIDE, tiny.SIDE), true_guidance=true_guidance,
    )  # fmt: skip
    chosen, samples = attack("initial_noise", *QUICK.get("initial_noise", [])), []
    hook = model.denoiser.register_forward_pre_hook(
        lambda _, inputs, named: samples.append(len(named["hidden_states"])), with_kwargs=True
    )
    solved(chosen, model, [0, 1])
    hook.remove()
    counted = chosen.evaluations(model, 2, chosen.budgets[0].steps)
    # a checkpoint's second pass is how the gradient is made
    assert sum(samples) == 2 * counted
    assert counted == 2 * chosen.budgets[0].steps * chosen.pairs * chosen.space.steps * true_guidance


def test_a_hard_prompt_is_read_as_the_tokens_that_it_reports(model: StableDiffusion) -> None:
    for words in ([], ["attack/start=gaussian", "attack.space.length=6"], ["attack/start=ordinary"]):
        found = solved(attack("hard_prompt", *QUICK["hard_prompt"], *words), model, [0, 1, 2])
        texts = [text_of(model.tokenizer, ids) for ids in found["tokens"]]
        assert torch.equal(model.texts.readers[0].ids(texts), found["tokens"])
        torch.testing.assert_close(model.encode_prompts(texts).float(), found["embeddings"])
        if not words:
            assert not torch.equal(found["embeddings"], found["start"])
            assert [len(text.split()) for text in texts] == [len(t.prompt.split()) for t in TARGETS]


@given(st.data())
def test_any_words_of_the_vocabulary_are_read_as_themselves(data: st.DataObject) -> None:
    tokenizer = tiny.words()
    words = vocabulary(tokenizer)
    ids = torch.tensor(data.draw(st.lists(st.sampled_from(words.tolist()), min_size=1, max_size=14)))
    assert tokenizer(text_of(tokenizer, ids), add_special_tokens=False).input_ids == ids.tolist()


def test_a_swap_is_kept_only_where_the_loss_falls(model: StableDiffusion) -> None:
    """On the pairs of its step: at every place at most one word changes in a step."""
    one = attack("hard_prompt", "attack.steps=1", "attack.space.candidates=6", "attack.pairs=4")
    found, start = solved(one, model, [0, 1, 2]), model.texts.readers[0].ids([t.prompt for t in TARGETS])
    assert ((found["tokens"] != start).sum(1) <= 1).all()
    eps, t = one.noise(model, one.attempts(TARGETS))(0)
    z = torch.stack(
        [model.encode_images(torch.from_numpy(t.pixels()).permute(2, 0, 1)[None])[0] for t in TARGETS]
    )

    def loss(y: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            each = [x.repeat_interleave(4, 0) for x in (z, y.double())]
            return model.loss(*each, eps.flatten(0, 1).double(), t.flatten()).view(3, 4).mean(1)

    assert (loss(found["embeddings"]) <= loss(found["start"]) + 1e-6).all()


def test_initial_noise_leaves_the_prompt_and_what_a_gaussian_gives(model: StableDiffusion) -> None:
    chosen = attack("initial_noise", *QUICK["initial_noise"])
    found = solved(chosen, model, [0, 1, 2])
    prompts = model.encode_prompts([target.prompt for target in TARGETS]).float()
    assert torch.equal(found["embeddings"], prompts) and torch.equal(found["start"], prompts)
    size = torch.linalg.vector_norm(found["noise"].flatten(1), dim=1)
    torch.testing.assert_close(size, torch.full_like(size, found["noise"][0].numel() ** 0.5))
    begun = on_sphere(torch.stack([
        torch.randn(model.latent_shape, generator=generator(0, "start", t.name, 0)) for t in TARGETS
    ]))  # fmt: skip
    assert ((found["noise"] - begun).flatten(1).norm(dim=1) > 0.1).all()
    assert (found["spread"] == 0.1).all()


def test_the_short_walk_comes_nearer_to_the_image(model: StableDiffusion) -> None:
    losses = solved(attack("initial_noise", "attack.space.steps=2", "attack.steps=8"), model, [0, 1])[
        "losses"
    ]
    assert (losses[:, -1] < losses[:, 0]).all()


@given(st.floats(0, 0.99), st.integers(0, 5))
def test_blended_noise_has_a_gaussians_norm(spread: float, seed: int) -> None:
    stream = generator(seed, "test")
    centre = on_sphere(torch.randn(1, 4, 32, 32, generator=stream))
    fresh = torch.randn(1, 4, 32, 32, generator=stream)
    assert blended(fresh, centre, spread).norm().item() == pytest.approx(64, rel=0.06)


@given(
    kind=st.sampled_from(["l2", "linf"]), epsilon=st.floats(0, 2), reach=st.floats(0.01, 5),
    start=st.sampled_from(["prompt", "gaussian"]),
)  # fmt: skip
def test_random_search_never_leaves_the_ball(kind: str, epsilon: float, reach: float, start: str) -> None:
    """Judged by a loss that falls with every step, so that each is taken."""
    ball = {"l2": l2_ball, "linf": linf_ball}[kind]
    y0 = torch.randn(2, 5, 7, generator=generator(0, start))
    falling = iter(range(100, 0, -1))

    def objective(model: object, z: torch.Tensor, y: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        return torch.full((len(y),), float(next(falling)))

    seen = []
    found = RandomSearch(reach)(
        _NoModel(), torch.zeros(2, 1), y0, lambda step: (torch.zeros(2, 1, 1), torch.zeros(2, 1)), steps=4,
        objective=objective, constraint=lambda y, s: ball(y, s, epsilon=epsilon), batch=64,
        callback=lambda step, y, loss: seen.append(y.clone()), streams=[generator(0, i) for i in range(2)],
    )  # fmt: skip
    whole = y0.flatten(1)
    for y in (*seen, found.embeddings):
        moved = (y - y0).flatten(1)
        if kind == "l2":
            assert (moved.norm(dim=1) <= epsilon * whole.norm(dim=1) * (1 + 1e-5)).all()
        else:
            assert (moved.abs().amax(1) <= epsilon * whole.square().mean(1).sqrt() + 1e-5).all()
    if epsilon > 0.01:
        assert not torch.equal(seen[-1], seen[0])


class _NoModel:
    """What a climb asks of a model whose objective needs none."""

    denoiser, device, dtype = torch.nn.Identity(), torch.device("cpu"), torch.float32


def test_random_search_keeps_the_best_point_and_begins_at_the_start(model: StableDiffusion) -> None:
    chosen = attack("random_search", "attack.steps=12", "attack.search.reach=0.5")
    losses = solved(chosen, model, [0, 1, 2])["losses"]
    found = solved(chosen, model, [0, 1, 2])
    best = losses.cummin(1).values
    moved = (found["embeddings"] != found["start"]).flatten(1).any(1)
    assert torch.equal(moved, best[:, -1] < losses[:, 0])
    assert moved.any()
    first = solved(attack("random_search", "attack.steps=1"), model, [0, 1, 2])
    assert torch.equal(first["embeddings"], first["start"])


@given(words=WORDS, count=st.integers(1, 8), seed=st.integers(0, 20), share=st.floats(0.05, 0.9))
def test_a_paraphrase_is_other_words_of_the_prompt_and_no_longer(
    words: list[str], count: int, seed: int, share: float
) -> None:
    prompt, tokenizer = " ".join(words), tiny.words()
    found = list(paraphrases(prompt, count, generator(seed), share))
    assert len(found) <= count and len({text.lower() for text in found}) == len(found)
    longest = len(tokenizer(prompt).input_ids)
    for text in found:
        ids = tokenizer(text).input_ids
        assert ids != tokenizer(prompt).input_ids and len(ids) <= longest
        assert not set(text.split()) - set(words)
    assert found == list(paraphrases(prompt, count + 3, generator(seed), share))[: len(found)]


def test_every_restart_is_another_paraphrase() -> None:
    attempts: list[Attempt] = [(target, restart) for target in TARGETS for restart in range(5)]
    texts = paraphrase(DATA, attempts, 0)
    assert all(len({*texts[i : i + 5], TARGETS[i // 5].prompt}) == 6 for i in range(0, 15, 5))
    assert paraphrase(DATA, attempts[7:8], 0) == texts[7:8]
    assert paraphrase(DATA, attempts, 1) != texts


def test_a_prompt_without_paraphrase_is_refused() -> None:
    one = Target("seen/0", "boat", "seen", tiny.picture(0))
    with pytest.raises(InputError, match="'boat' has too few words"):
        paraphrase(Data([one], Ordinary([])), [(one, 0)], 0)


WRONG = [
    ("hard_prompt", ["attack/constraint=l2"], "hard prompts swap whole words"),
    ("hard_prompt", ["attack.tokens=padding"], "hard prompts swap whole words"),
    ("hard_prompt", ["attack/start=empty"], "attack/start=empty has none"),
    ("hard_prompt", ["attack.space.top=0"], "attack.space.top must be above zero"),
    ("initial_noise", ["attack/start=prompt"], "initial noise starts from noise"),
    ("initial_noise", ["attack/constraint=linf"], "initial noise stays on its sphere"),
    (
        "initial_noise",
        ["attack.space.spread=1"],
        "attack.space.spread must be 0 or more, and below 1, but is 1",
    ),
    ("initial_noise", ["attack.space.steps=0"], "attack.space.steps must be above zero"),
    ("random_search", ["attack.search.reach=-1"], "attack.search.reach must be above zero"),
    ("paraphrase", ["attack.start.share=1.5"], "attack.start.share must lie between 0 and 1"),
]


@pytest.mark.parametrize(("name", "words", "text"), WRONG)
def test_a_setting_that_means_nothing_is_refused(
    make_diffusion: Callable[..., StableDiffusion], name: str, words: list[str], text: str
) -> None:
    """Before any weight is read."""
    with pytest.raises(InputError, match=text):
        attack(name, *words).check(make_diffusion(), DATA)
