"""Gradient saliency: the baseline that asks the loss which weights it leans on."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from dori.core.costs import Cost
from dori.core.errors import InputError, check_positive
from dori.core.neutral import neutral
from dori.core.randomness import generator
from dori.data import Data, Target
from dori.data.targets import embedded, tensor
from dori.diffusion import Diffusion, frozen
from dori.pruning.baselines.budget import Budget, highest
from dori.pruning.selection import Keep, Selection

Scores = dict[str, Tensor]  # per layer (out, in), float64 on the CPU


@neutral("batch")
@dataclass(frozen=True)
class Saliency(Budget):
    """Zero the weights that matter to memorized pictures more than to ordinary ones.

    Score |w * dL/dw| of the memorized (prompt, image) pairs minus the same of ordinary pairs, with L
    the denoising loss without guidance, its mean over the pairs' images and over ``pairs`` draws of
    (noise, timestep) for each. |w * dL/dw| is SNIP's (Lee et al. 2019, arXiv 1810.02340); the
    difference is ours. The highest are zeroed, also below zero: the budget is always used up.

    Args:
        ratio, count, like, layers: the budget, see ``Budget``; with a ``like``
            that is per prompt, L is that of each target alone.
        pairs: (noise, timestep) draws per image.
        ordinary: at most so many ordinary pairs, the first ones of ``data.ordinary``.
        batch: most samples in one differentiated call of the denoiser.
        seed: of the draws, each image's from a generator of its own.
    """

    name: str = "saliency"
    pairs: int = 8
    ordinary: int = 128
    batch: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        for key in ("pairs", "ordinary", "batch"):
            check_positive(f"pruning.{key}", getattr(self, key))
        super().__post_init__()

    def check(self, diffusion: Diffusion, data: Data) -> None:
        """Raises InputError: layers or weights that are not there, or no ordinary pictures."""
        super().check(diffusion, data)
        if not data.ordinary.images:
            raise InputError(
                "saliency compares with ordinary pictures and their captions, but the data has none: give"
                " data.ordinary, a table with the columns caption and image"
            )

    def select(self, diffusion: Diffusion, targets: list[Target], data: Data, keep: Keep) -> Selection:
        """The mask of the targets, or one for each; an evaluation is a sample forward and backward.

        Raises:
            InputError: no targets, no ordinary pictures, or a gradient that is not finite.
        """
        self.check(diffusion, data)
        if not targets:
            raise InputError("pruning needs memorized prompts, but there are no targets")
        quotas, evaluations = self.quotas(diffusion, targets, data, keep)
        layers = list(quotas[0])
        everyday = data.ordinary
        count, size = min(self.ordinary, len(everyday.images)), diffusion.size
        names = [f"ordinary/{i:05d}" for i in range(count)]
        images = everyday.tensor(size, 0, count)
        y = diffusion.encode_prompts(everyday.captions[:count])
        usual = self.saliency(diffusion, layers, names, y, images)
        masks = []
        for some, quota in zip([[t] for t in targets] if self.per_prompt else [targets], quotas, strict=True):
            names, y = [t.name for t in some], embedded(some, diffusion.encode_prompts)
            own = self.saliency(diffusion, layers, names, y, tensor([t.pixels() for t in some], size))
            masks.append(highest({name: own[name] - usual[name] for name in layers}, quota))
        return Selection(masks, evaluations + self.evaluations(len(targets), count))

    def cost(self, diffusion: Diffusion, targets: int, data: Data) -> Cost:
        """What selecting takes, with that of the method that it is measured by."""
        own = self.evaluations(targets, min(self.ordinary, len(data.ordinary.images)))
        return super().cost(diffusion, targets, data).and_also(Cost(gradient=own))

    def evaluations(self, targets: int, ordinary: int) -> int:
        """samples through the denoiser forward and backward."""
        return (targets + ordinary) * self.pairs

    def saliency(
        self, diffusion: Diffusion, layers: list[str], names: list[str], y: Tensor, images: Tensor
    ) -> Scores:
        """|w * dL/dw| of pairs of embeddings (n, tokens, width) and uint8 images (n, 3, H, W).

        Draws derive from ``names``.
        """
        z = diffusion.encode_images(images)
        modules = diffusion.layers(layers)
        weights = [layer.weight for layer in modules.values()]
        total = [torch.zeros_like(w, dtype=torch.promote_types(w.dtype, torch.float32)) for w in weights]
        # the loss is a mean over so many values that half precision loses its gradient; this is exact
        scale = 2.0 ** round(math.log2(z[0].numel()))
        with frozen(diffusion.denoiser), torch.enable_grad():
            for weight in weights:
                weight.requires_grad_(True)
            for chunk in torch.arange(len(names)).split(max(1, self.batch // self.pairs)):
                noise, t = self._draws(diffusion, [names[i] for i in chunk])
                owner = chunk.repeat_interleave(self.pairs)
                for part in torch.arange(len(owner)).split(self.batch):
                    who = owner[part]
                    loss = diffusion.loss(z[who], y[who], noise[part], t[part]).sum() * scale
                    for accumulated, gradient in zip(total, torch.autograd.grad(loss, weights), strict=True):
                        accumulated += gradient
        scores = {}
        for name, weight, gradient in zip(modules, weights, total, strict=True):
            mean = gradient.double().cpu() / (scale * len(names) * self.pairs)
            scores[name] = (weight.detach().double().cpu() * mean).abs()
            if not scores[name].isfinite().all():
                raise InputError(
                    f"the denoising loss has no finite gradient at layer {name} in {diffusion.dtype}:"
                    " use model.dtype=float32"
                )
        return scores

    def _draws(self, diffusion: Diffusion, names: list[str]) -> tuple[Tensor, Tensor]:
        """Noise (images * pairs, c, h, w) and timesteps (images * pairs,), one image after another."""
        shape = (self.pairs, *diffusion.latent_shape)
        streams = [generator(self.seed, "saliency", name) for name in names]
        t = torch.cat([diffusion.schedule.draw(self.pairs, stream) for stream in streams])
        noise = torch.cat([torch.randn(shape, generator=stream) for stream in streams])
        return noise.to(diffusion.device, diffusion.dtype), t.to(diffusion.device)
