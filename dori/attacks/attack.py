"""An attack: a start, a constraint and a climb, put together for a list of targets."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dori.attacks.solver import Constraint, Noise, Objective, solve
from dori.data import Target
from dori.data.targets import tensor
from dori.diffusion import StableDiffusion
from dori.errors import check_positive
from dori.predict import Predictor, replace_file
from dori.randomness import generator


@dataclass(frozen=True)
class Attack:
    """DoRI and its family.

    Args:
        name: how rows and reports call it.
        steps: gradient steps, 50 in the paper.
        pairs: (noise, timestep) pairs per image and step, 8 in the paper.
        start, constraint, objective: see the modules of these names.
        optimizer: of ``torch.optim``, given the embeddings; Adam at 0.1 in the paper.
        batch: most samples in one differentiated U-Net call.
    """

    name: str
    steps: int
    pairs: int
    start: Callable[[StableDiffusion, list[Target]], Tensor]
    constraint: Constraint
    objective: Objective
    optimizer: Callable[[list[Tensor]], torch.optim.Optimizer]
    batch: int
    seed: int = 0

    def __post_init__(self) -> None:
        for key in ("steps", "pairs", "batch"):
            check_positive(f"attack.{key}", getattr(self, key))
        # refuses a wrong epsilon here, not after the pruning
        self.constraint(torch.zeros(1, 1, 1), torch.zeros(1, 1, 1))

    def evaluations(self, targets: int) -> int:
        """Gradient evaluations: samples through the U-Net forward and backward."""
        return targets * self.steps * self.pairs

    def noise(self, diffusion: StableDiffusion, targets: list[Target]) -> Noise:
        """Fresh (noise, timesteps) at every step, each target's from a generator of its own."""
        streams = [generator(self.seed, "attack", target.name) for target in targets]
        shape = (self.pairs, *diffusion.latent_shape)

        def draw(step: int) -> tuple[Tensor, Tensor]:
            high = diffusion.train_timesteps
            t = [torch.randint(high, (self.pairs,), generator=stream) for stream in streams]
            return torch.stack([torch.randn(shape, generator=s) for s in streams]), torch.stack(t)

        return draw

    def run(
        self, diffusion: StableDiffusion, targets: list[Target], places: list[int], folder: Path,
        predictor: Predictor,
    ) -> None:  # fmt: skip
        """Attacks the targets at ``places``, into parts that ``merge_parts`` puts together.

        Finished parts of a killed run are kept.
        """
        size = max(1, self.batch // self.pairs)
        chunks = [places[i : i + size] for i in range(0, len(places), size)]

        def attack(chunk: list[int]) -> None:
            path = folder / f"part-{chunk[0]:05d}.safetensors"
            if path.exists():
                return
            some = [targets[i] for i in chunk]
            start = self.start(diffusion, some)
            images = tensor([target.pixels() for target in some], diffusion.resolution)
            latents = diffusion.encode_images(images)
            solution = solve(
                diffusion, latents, start, self.noise(diffusion, some), steps=self.steps,
                objective=self.objective, constraint=self.constraint, optimizer=self.optimizer,
                batch=self.batch,
            )  # fmt: skip
            parts = {"place": torch.tensor(chunk), "start": start.cpu(), **vars(solution)}
            replace_file(path, lambda tmp: save_file(parts, tmp))

        predictor.run(diffusion.networks, attack, chunks)


def merge_parts(folder: Path) -> None:
    """``triggers.safetensors``: start, embeddings, losses, failed, in the order of the targets."""
    parts = [load_file(path) for path in sorted(folder.glob("part-*.safetensors"))]
    order = torch.cat([part.pop("place") for part in parts]).argsort()
    merged = {key: torch.cat([part[key] for part in parts])[order] for key in parts[0]}
    replace_file(folder / "triggers.safetensors", lambda tmp: save_file(merged, tmp))
    for path in folder.glob("part-*.safetensors"):
        path.unlink()
