"""Optimised initial noise: the prompt is left alone, the latent that the sampler starts from is moved.

That noise alone leads an edited model back to an image is shown by Memories of Forgotten Concepts
(arXiv 2412.00782), which inverts the sampler; DOODL (arXiv 2303.13703) differentiates it. Here a DDIM
of few steps is differentiated, recomputed in the backward pass, so that one call is in memory.
"""

import math
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from dori.attacks.climb import Objective
from dori.attacks.constraints import Movable
from dori.attacks.spaces.embeddings import Problem, latents_of
from dori.attacks.starts import Source
from dori.core.errors import InputError, check_positive
from dori.data import Target
from dori.diffusion import Diffusion
from dori.diffusion.images import blended


def on_sphere(x: Tensor) -> Tensor:
    """Noise (n, c, h, w) of norm sqrt(c * h * w), which is where nearly all of a Gaussian lies."""
    radius = math.sqrt(x[0].numel())
    norm = torch.linalg.vector_norm(x.flatten(1), dim=1).view(-1, 1, 1, 1)
    return x * (radius / norm.clamp(min=1e-30))


@dataclass(frozen=True)
class InitialNoise:
    """Noise on the sphere where Gaussians lie, from which the prompt gives the training image.

    The loss is the mean squared distance of the short DDIM's end to the image's latents. The sampler
    of the evaluation has its own steps and, by ``spread``, noise of its own mixed in.

    Args:
        steps: of the DDIM that is differentiated.
        guidance: of it, as in the sampler; 1 means none.
        spread: share s of fresh noise, sqrt(1 - s^2) x + s eps: an image's seed still counts, and the
            attack has to hold on seeds that it never saw. 0: all images of a trigger are the same.
    """

    steps: int = 4
    guidance: float = 2.0
    spread: float = 0.1
    search: None = field(default=None, init=False)
    hooks: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        check_positive("attack.space.steps", self.steps)
        check_positive("attack.space.guidance", self.guidance)
        if not 0 <= self.spread < 1:
            raise InputError(f"attack.space.spread must be 0 or more, and below 1, but is {self.spread}")

    def samples(self, diffusion: Diffusion) -> int:
        return self.steps * diffusion.samples_at(self.guidance)

    def check(self, diffusion: Diffusion, sources: list[Source], movable: Movable, ball: bool) -> None:
        """Raises InputError: a start that is no noise, tokens, or a ball beside the sphere."""
        if any(isinstance(source, str) for source in sources):
            raise InputError("initial noise starts from noise: set attack/start=gaussian")
        if not movable.everything or ball:
            raise InputError(
                "initial noise stays on its sphere and moves no token: set attack.tokens=all,"
                " attack.rows=all and attack/constraint=none"
            )

    def problem(
        self, diffusion: Diffusion, targets: list[Target], sources: list[Source],
        objective: Objective, movable: Movable,
    ) -> Problem:  # fmt: skip
        shape = diffusion.latent_shape
        drawn = [torch.randn(shape, generator=s) for s in sources if not isinstance(s, str)]
        prompts = diffusion.encode_prompts([target.prompt for target in targets])
        image = latents_of(diffusion, targets)
        spread = self.spread

        def distance(model: Diffusion, known: Tensor, x: Tensor, eps: Tensor, t: Tensor) -> Tensor:
            z, y = known.split([image[0].numel(), prompts[0].numel()], dim=1)
            *_, end = model.walk(
                y.unflatten(1, prompts.shape[1:]), blended(eps, x, spread), steps=self.steps,
                guidance=self.guidance, call=partial(checkpoint, use_reentrant=False),
            )  # fmt: skip
            return (end - z.unflatten(1, shape)).float().square().mean((1, 2, 3))

        def trigger(x: Tensor, who: Tensor) -> dict[str, Tensor]:
            share = torch.full((len(x),), spread)
            return {"embeddings": prompts[who].float(), "noise": x.float(), "spread": share}

        known = torch.cat([image.flatten(1), prompts.flatten(1).to(image)], 1)
        start = on_sphere(torch.stack(drawn).to(diffusion.device))
        return Problem(start, known, distance, lambda x, start: on_sphere(x), trigger)
