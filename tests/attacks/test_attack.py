"""An attack on a list of targets: noise by name, restarts, budgets; parts that outlive a killed run."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from dori.attacks import Attack
from dori.attacks.budgets import Budget
from dori.attacks.constraints import l2_ball, linf_ball, unconstrained
from dori.attacks.objectives import denoising_loss
from dori.attacks.parts import merge_parts, write_parts
from dori.attacks.starts import gaussian, prompt
from dori.core.errors import InputError
from dori.core.predict import Predictor
from dori.core.randomness import generator
from dori.data import Data, Ordinary, Target
from dori.diffusion import StableDiffusion
from tests import tiny

TARGETS = [Target(f"verbatim/{i}", tiny.prompts(1, i)[0], "verbatim", tiny.picture(i)) for i in range(3)]
DATA = Data(TARGETS, Ordinary([]), tiny.prompts(5, 40))


@pytest.fixture
def attack() -> Attack:
    return Attack(
        "dori", steps=2, pairs=2, start=prompt, constraint=unconstrained, objective=denoising_loss,
        optimizer=partial(torch.optim.Adam, lr=0.1), batch=4,
    )  # fmt: skip


@pytest.fixture(scope="module")
def model(make_diffusion: Callable[..., StableDiffusion]) -> StableDiffusion:
    return make_diffusion(dtype="float64")


def solved(
    attack: Attack, model: StableDiffusion, targets: list[Target], folder: Path, predictor: Predictor,
    groups: list[list[int]] | None = None,
) -> dict[Budget, dict[str, torch.Tensor]]:  # fmt: skip
    """What ``triggers.safetensors`` holds for each budget."""
    folders = {budget: folder / f"{budget.steps}-{budget.epsilon}" for budget in attack.budgets}
    for one in folders.values():
        one.mkdir(parents=True, exist_ok=True)
    for places in groups or [list(range(len(targets)))]:
        write_parts(attack, model, DATA, targets, places, folders, predictor)
    for one in folders.values():
        merge_parts(one)
        assert [p.name for p in one.iterdir()] == ["triggers.safetensors"]
    return {budget: load_file(one / "triggers.safetensors") for budget, one in folders.items()}


def triggers(
    attack: Attack, model: StableDiffusion, targets: list[Target], folder: Path, predictor: Predictor,
    groups: list[list[int]] | None = None,
) -> dict[str, torch.Tensor]:  # fmt: skip
    (found,) = solved(attack, model, targets, folder, predictor, groups).values()
    return found


def test_triggers_follow_the_order_of_the_targets(
    attack: Attack, model: StableDiffusion, predictor: Predictor, tmp_path: Path
) -> None:
    """Two targets per call, then one: the parts are joined in order, and nobody sees the company."""
    found = triggers(attack, model, TARGETS, tmp_path / "a", predictor)
    # targets with masks of their own come in groups
    turned = triggers(
        replace(attack, batch=64), model, TARGETS[::-1], tmp_path / "b", predictor, [[2], [0, 1]]
    )
    assert {key: tuple(value.shape) for key, value in found.items()} == {
        "start": (3, tiny.TOKENS, tiny.WIDTH), "embeddings": (3, tiny.TOKENS, tiny.WIDTH),
        "losses": (3, 2), "failed": (3,),
    }  # fmt: skip
    torch.testing.assert_close(found["start"], model.encode_prompts([t.prompt for t in TARGETS]).float())
    for key in found:
        torch.testing.assert_close(found[key], turned[key].flip(0), rtol=1e-5, atol=1e-5)
    assert (found["embeddings"] - found["start"]).abs().mean() > 0.05


def test_evaluations_are_the_samples_through_the_unet(
    attack: Attack, model: StableDiffusion, predictor: Predictor, tmp_path: Path
) -> None:
    samples = []
    hook = model.denoiser.register_forward_pre_hook(lambda _, inputs: samples.append(len(inputs[0])))
    triggers(attack, model, TARGETS, tmp_path / "a", predictor)
    hook.remove()
    assert sum(samples) == attack.evaluations(model, 3) == 3 * 2 * 2
    assert max(samples) <= attack.batch


def test_finished_parts_of_a_killed_run_are_kept(
    attack: Attack, model: StableDiffusion, predictor: Predictor, tmp_path: Path
) -> None:
    calls = []

    def dies(*arguments: object) -> torch.Tensor:
        calls.append(arguments)
        if len(calls) > attack.steps:  # in the second part
            raise KeyboardInterrupt
        return denoising_loss(*arguments)

    whole = triggers(attack, model, TARGETS, tmp_path / "whole", predictor)
    with pytest.raises(BaseException):  # noqa: B017 - Lightning turns it into SystemExit
        triggers(replace(attack, objective=dies), model, TARGETS, tmp_path / "killed", predictor)
    assert [p.name for p in (tmp_path / "killed").rglob("*.safetensors")] == ["part-00000-00001.safetensors"]
    calls.clear()

    def counts(*arguments: object) -> torch.Tensor:
        calls.append(arguments)
        return denoising_loss(*arguments)

    again = triggers(replace(attack, objective=counts), model, TARGETS, tmp_path / "killed", predictor)
    assert len(calls) == attack.steps  # one part of two
    assert all(torch.equal(again[key], whole[key]) for key in whole)


def test_parts_of_another_batch_are_kept_and_counted_once(
    attack: Attack, model: StableDiffusion, predictor: Predictor, tmp_path: Path
) -> None:
    """On a GPU ``attack.batch=auto`` makes larger parts than on a CPU that goes on with them."""
    whole = triggers(attack, model, TARGETS, tmp_path / "whole", predictor)
    folder = tmp_path / "mixed"
    folder.mkdir()
    for batch, places in ((2, [0, 1]), (4, [0, 1, 2])):
        chosen = replace(attack, batch=batch)
        write_parts(chosen, model, DATA, TARGETS, places, {attack.budgets[0]: folder}, predictor)
    assert len(list(folder.iterdir())) == 4
    merge_parts(folder)
    mixed = load_file(folder / "triggers.safetensors")
    for key in whole:
        torch.testing.assert_close(mixed[key], whole[key], rtol=1e-5, atol=1e-5)


def test_noise_is_fresh_at_each_step_and_a_targets_own(attack: Attack, model: StableDiffusion) -> None:
    attempts = attack.attempts(TARGETS)
    together, alone = attack.noise(model, attempts), attack.noise(model, attempts[2:])
    steps = [(together(step), alone(step)) for step in range(2)]
    for (noise, t), (own_noise, own_t) in steps:
        assert torch.equal(noise[2:], own_noise)
        assert torch.equal(t[2:], own_t)
        assert noise.shape == (3, 2, *model.latent_shape)
    first, second = steps[0][0][0], steps[1][0][0]
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])
    other, _ = replace(attack, seed=1).noise(model, attempts)(0)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(("window", "low", "high"), [(None, 0, 1000), ([200, 300], 200, 300)])
def test_timesteps_are_those_of_the_window(
    attack: Attack, model: StableDiffusion, window: list[int] | None, low: int, high: int
) -> None:
    """Default: all training timesteps."""
    chosen = replace(attack, pairs=64, window=window)
    draw = chosen.noise(model, chosen.attempts(TARGETS))
    t = torch.cat([draw(step)[1].flatten() for step in range(10)])
    length = high - low
    assert low <= t.min() < low + length / 50
    assert high - length / 50 <= t.max() < high
    assert t.float().mean() == pytest.approx((low + high) / 2, abs=length / 20)


@pytest.mark.parametrize("start", [prompt, gaussian])
def test_restarts_differ_and_the_first_is_the_attack_without(
    attack: Attack, model: StableDiffusion, predictor: Predictor, tmp_path: Path, start: Callable
) -> None:
    attack = replace(attack, start=start)
    one = triggers(attack, model, TARGETS, tmp_path / "one", predictor)
    three = triggers(replace(attack, restarts=3), model, TARGETS, tmp_path / "three", predictor)
    assert three["embeddings"].shape == (9, tiny.TOKENS, tiny.WIDTH)
    for key in one:
        torch.testing.assert_close(three[key][::3], one[key], rtol=1e-5, atol=1e-5)
    found = three["embeddings"].flatten(1)
    assert (torch.cdist(found, found) + torch.eye(9) > 0.1).all()
    assert torch.equal(three["start"][0], three["start"][1]) == (start is prompt)
    assert replace(attack, restarts=3).evaluations(model, 2) == 3 * attack.evaluations(model, 2)


def test_snapshots_are_shorter_solves(
    attack: Attack, model: StableDiffusion, predictor: Predictor, tmp_path: Path
) -> None:
    many = replace(attack, steps=3, snapshots=[0, 1, 3])
    found = solved(many, model, TARGETS, tmp_path / "many", predictor)
    assert [budget.steps for budget in found] == [0, 1, 3]
    start = found[Budget(0)]
    assert torch.equal(start["embeddings"], start["start"])
    assert start["losses"].shape == (3, 0)
    for steps in (1, 3):
        alone = triggers(replace(attack, steps=steps), model, TARGETS, tmp_path / str(steps), predictor)
        assert alone.keys() == found[Budget(steps)].keys()
        assert all(torch.equal(alone[key], found[Budget(steps)][key]) for key in alone)


@pytest.mark.parametrize("ball", [l2_ball, linf_ball])
def test_epsilons_side_by_side_are_single_solves(
    attack: Attack, model: StableDiffusion, predictor: Predictor, tmp_path: Path, ball: Callable
) -> None:
    sizes = [0.0, 0.01, 0.1]
    many = replace(attack, constraint=partial(ball, epsilon=7.0), epsilons=sizes, snapshots=[1, 2])
    found = solved(many, model, TARGETS, tmp_path / "many", predictor)
    assert len(found) == 6
    assert torch.equal(found[Budget(2, 0.0)]["embeddings"], found[Budget(2, 0.0)]["start"])
    for size in sizes:
        one = replace(attack, constraint=partial(ball, epsilon=size))
        alone = triggers(one, model, TARGETS, tmp_path / str(size), predictor)
        for key in alone:
            torch.testing.assert_close(found[Budget(2, size)][key], alone[key], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("tokens", ["content", "padding"])
def test_only_the_tokens_that_may_move(
    attack: Attack, model: StableDiffusion, predictor: Predictor, tmp_path: Path, tokens: str
) -> None:
    chosen = replace(attack, tokens=tokens, constraint=partial(l2_ball, epsilon=0.05))
    found = triggers(chosen, model, TARGETS, tmp_path, predictor)
    moved = (found["embeddings"] != found["start"]).any(-1)
    words = len(TARGETS[0].prompt.split())  # each a token
    content = torch.arange(tiny.TOKENS) <= words  # with the start-of-text
    assert torch.equal(moved, (content if tokens == "content" else ~content).expand_as(moved))


def test_a_failure_after_a_snapshot_does_not_spoil_it(
    attack: Attack, model: StableDiffusion, predictor: Predictor, tmp_path: Path
) -> None:
    calls = []

    def breaks(*arguments: object) -> torch.Tensor:
        calls.append(arguments)
        return denoising_loss(*arguments) * (torch.nan if len(calls) > 1 else 1)

    chosen = replace(attack, steps=3, snapshots=[1, 3], objective=breaks, batch=64)
    found = solved(chosen, model, TARGETS, tmp_path, predictor)
    assert found[Budget(1)]["failed"].tolist() == [-1] * 3
    assert found[Budget(3)]["failed"].tolist() == [1] * 3
    assert torch.equal(found[Budget(3)]["embeddings"], found[Budget(1)]["embeddings"])


def test_mixed_precision_of_the_trainer_reaches_the_solve(
    attack: Attack, make_diffusion: Callable[..., StableDiffusion], trainer: Callable, tmp_path: Path
) -> None:
    """Under autocast the losses are close; the embeddings hang on signs, so they are only moved."""
    found = []
    for precision in ("32-true", "bf16-mixed"):
        predictor = Predictor(partial(trainer, precision=precision), "test")
        found.append(triggers(attack, make_diffusion(), TARGETS, tmp_path / precision, predictor))
    exact, mixed = found
    torch.testing.assert_close(exact["losses"][:, 0], mixed["losses"][:, 0], rtol=0.05, atol=0)
    assert not torch.equal(exact["losses"], mixed["losses"])
    assert (mixed["failed"] == -1).all()
    moved = [(each["embeddings"] - each["start"]).flatten() for each in found]
    assert torch.cosine_similarity(*moved, dim=0) > 0.8


class Judge:
    """Takes an attempt for a copy from its ``after``-th look on; remembers what it was shown."""

    def __init__(self, after: dict[str, int]):
        self.after, self.looks = after, {name: [] for name in after}

    def __call__(self, images: torch.Tensor, targets: list[Target]) -> torch.Tensor:
        for image, target in zip(images, targets, strict=True):
            self.looks[target.name].append(image)
        return torch.tensor([len(self.looks[t.name]) > self.after[t.name] for t in targets])


def test_an_attempt_ends_at_replication_and_the_others_go_on(
    attack: Attack, model: StableDiffusion, predictor: Predictor, tmp_path: Path
) -> None:
    attack = replace(attack, steps=5, snapshots=[2, 5], check_every=2, check_images=3, batch=64)
    stopping, after = replace(attack, stop="replication"), {"verbatim/0": 0, "verbatim/1": 1, "verbatim/2": 9}
    judge = Judge(after)
    folders = {budget: tmp_path / str(budget.steps) for budget in stopping.budgets}
    for folder in folders.values():
        folder.mkdir()
    write_parts(stopping, model, DATA, TARGETS, [0, 1, 2], folders, predictor, judge)
    for folder in folders.values():
        merge_parts(folder)
    two, five = (load_file(folder / "triggers.safetensors") for folder in folders.values())
    assert five["steps_to_replication"].tolist() == [0, 2, -1]  # censored at the budget
    assert two["steps_to_replication"].tolist() == [0, 2, -1]
    assert {name: len(looks) for name, looks in judge.looks.items()} == {
        "verbatim/0": 1, "verbatim/1": 2, "verbatim/2": 3,
    }  # fmt: skip
    assert judge.looks["verbatim/0"][0].shape == (3, 3, tiny.SIDE, tiny.SIDE)
    assert five["losses"].isfinite().sum(1).tolist() == [0, 2, 5]
    assert torch.equal(five["embeddings"][0], five["start"][0])
    # what was found by then is what fixed steps find
    fixed = solved(attack, model, TARGETS, tmp_path / "fixed", predictor)
    short, whole = (fixed[Budget(steps)]["embeddings"] for steps in (2, 5))
    torch.testing.assert_close(
        five["embeddings"][1:], torch.stack([short[1], whole[2]]), rtol=1e-5, atol=1e-5
    )
    assert stopping.spent(model, five["steps_to_replication"], 5) == ((0 + 2 + 5) * 2, 0, (1 + 2 + 3) * 3)


def test_a_watched_attempt_goes_on_after_its_first_copy(
    attack: Attack, model: StableDiffusion, predictor: Predictor, tmp_path: Path
) -> None:
    watched, judge = replace(attack, watch=True, check_every=2), Judge({"verbatim/0": 0, "verbatim/1": 1})
    (budget,) = watched.budgets
    write_parts(watched, model, DATA, TARGETS[:2], [0, 1], {budget: tmp_path}, predictor, judge)
    found, fixed = merge_parts(tmp_path), solved(attack, model, TARGETS[:2], tmp_path / "fixed", predictor)
    reached = found.pop("steps_to_replication")
    assert reached.tolist() == [0, 2]
    assert {name: len(looks) for name, looks in judge.looks.items()} == {"verbatim/0": 1, "verbatim/1": 2}
    assert all(torch.equal(value, fixed[budget][key]) for key, value in found.items())
    assert watched.spent(model, reached, attack.steps) == (2 * attack.steps * attack.pairs, 0, 1 + 2)


def test_the_quick_samples_have_noise_of_their_own(attack: Attack, model: StableDiffusion) -> None:
    """The same at every look, alone or in company, and not that of the evaluation."""
    chosen, attempts = replace(attack, check_images=2), attack.attempts(TARGETS)
    y = model.encode_prompts([target.prompt for target in TARGETS])
    images = chosen.sample(model, attempts, {"embeddings": y})
    assert images.shape == (3, 2, 3, tiny.SIDE, tiny.SIDE)
    alone = chosen.sample(model, attempts[1:2], {"embeddings": y[1:2]})
    assert (images[1].int() - alone[0].int()).abs().max() <= 1
    shape = model.latent_shape
    noise = [torch.randn(shape, generator=generator(0, "image", TARGETS[1].name, j)) for j in range(2)]
    measured = model.sample(y[1:2].repeat(2, 1, 1), torch.stack(noise))
    assert all((image != other).any() for image in images[1] for other in measured)


def test_what_fits_in_memory_is_found_once(
    attack: Attack, model: StableDiffusion, predictor: Predictor, tmp_path: Path
) -> None:
    tried = []

    def small(diffusion: StableDiffusion, z: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        tried.append(len(z))
        if len(z) > 3:
            raise torch.OutOfMemoryError
        return denoising_loss(diffusion, z, *rest)

    found = triggers(replace(attack, objective=small), model, TARGETS, tmp_path / "a", predictor)
    assert [size for size in tried if size > 3] == [4]  # the second part begins with what fitted
    other = triggers(replace(attack, batch="auto"), model, TARGETS, tmp_path / "b", predictor)
    for key in found:
        torch.testing.assert_close(found[key], other[key], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("key", ["steps", "pairs", "batch", "restarts"])
@pytest.mark.parametrize("value", [0, -5])
def test_a_budget_at_or_below_zero_is_refused(attack: Attack, key: str, value: int) -> None:
    with pytest.raises(InputError, match=f"attack.{key} must be above zero, but is {value}"):
        replace(attack, **{key: value})


@pytest.mark.parametrize("epsilon", [-1.0, float("nan")])
def test_a_bad_epsilon_is_refused_before_any_work(attack: Attack, epsilon: float) -> None:
    with pytest.raises(InputError, match="epsilon"):
        replace(attack, constraint=partial(l2_ball, epsilon=epsilon))


WRONG = [
    ({"batch": "large"}, "attack.batch must be a whole number, but is 'large'"),
    ({"stop": "soon"}, "attack.stop must be steps or replication, but is 'soon'"),
    ({"check_every": 0}, "attack.check_every must be above zero"),
    ({"tokens": "some"}, "attack.tokens must be one of all, padding, content, but is 'some'"),
    ({"epsilons": [0.1]}, "attack.epsilons needs a ball"),
    ({"epsilons": []}, "attack.epsilons is an empty list"),
    ({"epsilons": [0.1, -1], "constraint": partial(l2_ball, epsilon=1.0)}, "epsilon must be finite"),
    ({"snapshots": [1, 3]}, r"attack.snapshots must be steps from 0 to attack.steps \(2\), not 3"),
    ({"snapshots": [-1]}, "attack.snapshots must be steps from 0"),
    ({"snapshots": [0.5]}, "attack.snapshots must be steps from 0"),
    ({"optimizer": partial(torch.optim.Adam, lr=-1.0)}, "attack.optimizer cannot be used: Invalid"),
    ({"optimizer": partial(torch.optim.Adam, speed=1)}, "attack.optimizer cannot be used: .*'speed'"),
    ({"optimizer": torch.optim.LBFGS}, "attack.optimizer cannot be used: .*closure"),
]


@pytest.mark.parametrize(("setting", "text"), WRONG)
def test_a_setting_that_cannot_work_is_refused(attack: Attack, setting: dict, text: str) -> None:
    with pytest.raises(InputError, match=text):
        replace(attack, **setting)


@pytest.mark.parametrize("window", [[-1, 5], [5, 5], [0, 1001], [0.5, 7], [3]])
def test_a_window_outside_the_schedule_is_refused(
    attack: Attack, model: StableDiffusion, window: list[int]
) -> None:
    replace(attack, window=[0, 1000]).check(model, DATA)
    with pytest.raises(InputError, match=r"attack.window must be \[low, high\) within 0 to 1000"):
        replace(attack, window=window).check(model, DATA)
