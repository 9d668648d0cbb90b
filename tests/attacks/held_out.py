"""What the tests of single attacks share: a configured attack, solved on a few targets."""

from torch import Tensor

from dori.attacks import Attack
from dori.attacks.together import solve_budgets
from dori.core.config import build
from dori.data import Data, Ordinary, Target
from dori.diffusion import StableDiffusion
from tests import tiny

TARGETS = [Target(f"verbatim/{i}", tiny.prompts(1, i)[0], "verbatim", tiny.picture(i)) for i in range(3)]
DATA = Data(TARGETS, Ordinary([]), tiny.prompts(5, 40))


def attack(name: str, *words: str) -> Attack:
    """``attack=<name>`` as on the command line, small."""
    small = [f"attack={name}", "attack.pairs=2", "attack.batch=64", "model.guidance=2.0"]
    steps = [] if name == "paraphrase" else ["attack.steps=3"]
    return build(tiny.composed(*small, *steps, *words).attack)


def solved(chosen: Attack, model: StableDiffusion, places: list[int], batch: int = 64) -> dict[str, Tensor]:
    """Its triggers for the targets at ``places``, at its one budget."""
    chosen.check(model, DATA)
    attempts = chosen.attempts([TARGETS[place] for place in places])
    (found,) = solve_budgets(chosen, model, DATA, attempts, chosen.budgets, batch)[0].values()
    return found
