"""What a defense learns from: encoded once, looked up at every update."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dori.attacks import Attack
from dori.attacks.parts import first_batch
from dori.attacks.together import solve_budgets
from dori.core.files import save_tensors
from dori.core.predict import Predictor, at_once, gather, side_by_side
from dori.core.ranks import dealt, once
from dori.data import Data, Target
from dori.diffusion import Diffusion, frozen


@dataclass(frozen=True, eq=False)
class Material:
    """Targets with their surrogates, and ordinary pairs; all latents scaled, on the CPU.

    Args:
        diffusion: the model that is trained; its networks move with the trainer.
        untrained: the model as it was, wherever it lies.
        data: what the starts of an attack choose from.
        targets: memorized images that are attacked and forgotten.
        originals: of each target by name, the latent (1, c, h, w) of its training image.
        surrogates: of each target by name, latents (k, c, h, w) of the images to learn in its place; of
            none where no term uses them.
        captions, latents: ordinary pairs to train on, latents (n, c, h, w).
        held_captions, held_latents: ordinary pairs to watch, never trained on.
    """

    diffusion: Diffusion
    untrained: Diffusion
    data: Data
    targets: list[Target]
    originals: dict[str, Tensor]
    surrogates: dict[str, Tensor]
    captions: list[str]
    latents: Tensor
    held_captions: list[str]
    held_latents: Tensor

    @property
    def original(self) -> Diffusion:
        """The model as it was, beside the one that is trained."""
        for network in self.untrained.networks:
            network.to(self.diffusion.device)
        return self.untrained

    def some_surrogates(self, target: Target, count: int, stream: torch.Generator) -> Tensor:
        """``count`` of a target's surrogates (count, c, h, w), drawn with replacement."""
        images = self.surrogates[target.name]
        return images[torch.randint(len(images), (count,), generator=stream)]

    def attack(self, attack: Attack, targets: list[Target], warm: Tensor | None = None) -> Tensor:
        """Embeddings (targets, restarts, tokens, width) that an attack finds in the model as it is.

        ``warm``: as many, to start from. Ranks share the targets.
        """
        (budget,) = attack.budgets

        def solve(places: list[int]) -> list[Tensor]:
            attempts, fitting = attack.attempts([targets[i] for i in places]), first_batch(attack)
            starts = None if warm is None else warm[places].flatten(0, 1)
            most = at_once(alone=attack.space.hooks or torch.is_autocast_enabled("cpu"))
            each = min(attack.attempts_per_call(self.diffusion, fitting), -(-len(attempts) // most))

            def climb(first: int) -> Tensor:
                nonlocal fitting
                some = slice(first, first + each)
                found, fitting = solve_budgets(
                    attack,
                    self.diffusion, self.data, attempts[some], [budget], fitting,
                    warm=None if starts is None else starts[some],
                )  # fmt: skip
                return found[budget]["embeddings"]

            with frozen(self.diffusion.denoiser):  # by all until the last has ended
                parts = side_by_side(climb, list(range(0, len(attempts), each)), most)
            return list(torch.cat(parts).unflatten(0, (len(places), -1)))

        return torch.stack(dealt(list(range(len(targets))), solve))


def encode(
    diffusion: Diffusion, pictures: Callable[[list[int]], Tensor], count: int, folder: Path,
    predictor: Predictor,
) -> None:  # fmt: skip
    """``latents.safetensors``, (count, c, h, w), of uint8 pictures (n, 3, H, W) asked for by their places.

    Finished parts are kept; ranks share the work.
    """
    size = max(1, diffusion.batch // 2)

    def work(chunk: list[int]) -> None:
        path = folder / f"part-{chunk[0]:05d}.safetensors"
        if not path.exists():
            latents = diffusion.encode_images(pictures(chunk)).cpu().contiguous()  # minnow's are not
            save_tensors({"latents": latents}, path)

    predictor.run(diffusion.networks, work, predictor.chunks(list(range(count)), size))
    once(lambda: gather(folder, "latents"))


def placed(value: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """On the device, in its precision; whole numbers stay what they are."""
    return value.to(device, dtype) if value.is_floating_point() else value.to(device)
