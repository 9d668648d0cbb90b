"""An attack on many targets: solved in parts, each of which outlives a killed run."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from dori.attacks.attack import Attack
from dori.attacks.budgets import Budget
from dori.attacks.progress import Progress
from dori.attacks.together import Replicated, solve_budgets
from dori.core.files import save_tensors
from dori.core.predict import Predictor
from dori.data import Data, Target
from dori.diffusion import Diffusion

UNDER_WAY = "climb-"  # of a part, as far as it has come
AUTOMATIC = {
    "cuda": 1024,
    "cpu": 128,
}  # samples in a call of the denoiser to begin with; halved until they fit


def first_batch(attack: Attack) -> int:
    """Samples in a call of the denoiser to begin with."""
    if attack.batch == "auto":
        return AUTOMATIC["cuda" if torch.cuda.is_available() else "cpu"]
    return int(attack.batch)


def write_parts(
    attack: Attack, diffusion: Diffusion, data: Data, targets: list[Target], places: list[int],
    folders: dict[Budget, Path], predictor: Predictor, replicated: Replicated | None = None,
    judges: Sequence[nn.Module] = (),
) -> None:  # fmt: skip
    """Attacks the targets at ``places``: a folder of parts for each budget, see ``merge_parts``.

    Finished parts are kept, and how far one has come, every so many seconds. ``replicated`` says what
    stops an attempt, with the networks ``judges``.
    """
    attempts = attack.attempts(targets)
    rows = [place * attack.restarts + r for place in places for r in range(attack.restarts)]
    fitting = first_batch(attack)
    size = attack.attempts_per_call(diffusion, fitting)

    def solve(chunk: list[int]) -> None:
        nonlocal fitting
        which = f"{chunk[0]:05d}-{chunk[-1]:05d}"
        name = f"part-{which}.safetensors"
        if all((folder / name).exists() for folder in folders.values()):
            return
        some = [attempts[row] for row in chunk]
        first = next(iter(folders.values()))
        progress = Progress(first / f"{UNDER_WAY}{which}.pt", predictor.save_every, list(map(str, folders)))
        with progress.kept():
            found, fitting = solve_budgets(
                attack, diffusion, data, some, list(folders), fitting, replicated, progress=progress
            )
            for budget, parts in found.items():
                placed = {"place": torch.tensor(chunk), **parts}
                save_tensors(placed, folders[budget] / name)

    hooked = attack.space.hooks or diffusion.guard is not None
    predictor.run([*diffusion.networks, *judges], solve, predictor.chunks(rows, size, hooked), hooked)


def merge_parts(folder: Path) -> dict[str, Tensor]:
    """``triggers.safetensors``: start, embeddings, losses, failed, in the order of the attempts."""
    paths = sorted(folder.glob("part-*.safetensors"))
    parts = [load_file(path) for path in paths]
    # parts of a run that was killed and went on with another batch may overlap
    _, order = np.unique(torch.cat([part.pop("place") for part in parts]).numpy(), return_index=True)
    merged = {key: torch.cat([part[key] for part in parts])[order] for key in parts[0]}
    save_tensors(merged, folder / "triggers.safetensors")
    for path in [*paths, *folder.glob(f"{UNDER_WAY}*")]:
        path.unlink()
    return merged
