"""Subspace pruning by the Wanda score (arXiv 2406.18566; *Wanda* in Finding DoRI)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dori.core.costs import Cost
from dori.core.errors import InputError, check_positive, check_share, unknown
from dori.data import Data, Target
from dori.data.targets import embedded
from dori.diffusion import Diffusion
from dori.pruning.masks import Mask
from dori.pruning.selection import Keep, Selection


@contextmanager
def _summed_squares(layers: dict[str, nn.Linear], first: Callable[[str], int]) -> Iterator[dict[str, Tensor]]:
    """Per sample and input column, the sum over tokens of the squared L2-normalised inputs.

    ``first``: of a layer by its name, the column from which on it is the feed-forward's.
    """
    sums: dict[str, Tensor] = {}

    def add(name: str, x: Tensor) -> None:
        rows = F.normalize(x.flatten(1, -2).float(), dim=-1)
        sums[name] = rows.square().sum(1, dtype=torch.float64).cpu()

    hooks = [
        layer.register_forward_pre_hook(lambda _, inputs, name=name: add(name, inputs[0][..., first(name) :]))
        for name, layer in layers.items()
    ]
    try:
        yield sums
    finally:
        for hook in hooks:
            hook.remove()


@dataclass(frozen=True)
class Wanda:
    """Zero the weights that score high on memorized prompts, and higher than on ordinary input.

    Score |W| * ||X||, X the layer's inputs with every token's row L2-normalised. Per output row the
    floor(ratio * columns) highest, where the score also exceeds the one on the base, at each of the
    first ``used`` timesteps; their union is pruned. All prompts share one mask.

    Args:
        ratio: share of each output row, 0.01 in the paper.
        steps: length of the sampler's schedule (50 in the paper).
        used: so many of its calls run, the first ones; 10 in the paper.
        scheduler: ``published``, PNDM as in the released code, which looks twice at the second timestep
            (in flow models Euler's, which have no PNDM), or ``ddim``.
        base: ``empty``, the empty prompt as in the paper, or ``ordinary`` captions.
        apply: one mask of the whole ``set`` of prompts, as in the paper, or one ``per_prompt``.
        guidance: both halves of the guided batch count as inputs.
        seed: of the one initial noise that all prompts share, as in the published code.
    """

    name: str = "wanda"
    ratio: float = 0.01
    steps: int = 50
    used: int = 10
    scheduler: str = "published"
    base: str = "empty"
    apply: str = "set"
    guidance: float = 7.5
    seed: int = 0

    def __post_init__(self) -> None:
        check_share("pruning.ratio", self.ratio)
        check_positive("pruning.used", self.used)
        if self.base not in ("empty", "ordinary"):
            raise unknown("pruning.base", self.base, ("empty", "ordinary"))
        if self.scheduler not in ("published", "ddim"):
            raise unknown("pruning.scheduler", self.scheduler, ("published", "ddim"))
        if self.apply not in ("set", "per_prompt"):
            raise unknown("pruning.apply", self.apply, ("set", "per_prompt"))
        if self.steps < self.used:
            raise InputError(f"pruning.steps ({self.steps}) must reach pruning.used ({self.used})")

    def check(self, diffusion: Diffusion, data: Data) -> None:
        """Raises InputError: layers, columns, steps or captions that are not there."""
        for name, layer in diffusion.layers("feed_forward", loaded=False).items():
            self._kept(name, layer.in_features - diffusion.first_column(name))
        diffusion.schedule.check_steps(self.steps, "pruning.steps")
        next(diffusion.schedule.walk(self.steps, diffusion.latent_shape, self.plms))
        self._base(data.captions)

    @property
    def plms(self) -> bool:
        return self.scheduler == "published"

    @torch.no_grad()
    def norms(
        self, diffusion: Diffusion, y: Tensor, each: bool, layers: dict[str, nn.Linear] | None = None
    ) -> list[dict[str, Tensor]]:
        """Squared column norms at each used timestep: (n, columns) of ``each``, or their sum (1, columns).

        ``y`` (n, tokens, width); ``layers``: others than the feed-forward ones.
        """
        shape = diffusion.latent_shape
        noise = torch.randn(1, *shape, generator=torch.Generator().manual_seed(self.seed))
        noise = noise.to(diffusion.device, diffusion.dtype)
        layers = layers or diffusion.layers("feed_forward")
        found: list[dict[str, Tensor]] = [{} for _ in range(self.used)]
        for part in y.split(diffusion.samples_per_call):
            z = noise.expand(len(part), *shape)
            with _summed_squares(layers, diffusion.first_column) as sums:
                walk = diffusion.denoise(part, z, steps=self.steps, guidance=self.guidance, plms=self.plms)
                for step, _ in zip(found, walk, strict=False):
                    for name, value in sums.items():
                        # with guidance in two halves, a prompt has two samples
                        own = value.view(-1, len(part), value.shape[1]).sum(0)
                        rows = torch.cat([step[name], own]) if name in step else own
                        step[name] = rows if each else rows.sum(0, keepdim=True)
        return found

    def evaluations(self, prompts: int, ordinary: int = 0, samples: int | None = None) -> int:
        """Samples through the denoiser; the empty prompt's inputs are the same beside all: run once."""
        return (
            (prompts + (ordinary if self.base == "ordinary" else 1))
            * self.used
            * (samples or (1 if self.guidance == 1 else 2))
        )

    def cost(self, diffusion: Diffusion, targets: int, data: Data) -> Cost:
        """What selecting takes."""
        return Cost(self.evaluations(targets, len(data.captions), diffusion.samples_at(self.guidance)))

    @property
    def per_prompt(self) -> bool:
        return self.apply == "per_prompt"

    def select(self, diffusion: Diffusion, targets: list[Target], data: Data, keep: Keep) -> Selection:
        """The mask of the targets' prompts, or one for each; ``data.captions`` for that base."""
        ordinary = data.captions if self.base == "ordinary" else []
        found = self.masks(diffusion, embedded(targets, diffusion.encode_prompts), ordinary, self.per_prompt)
        samples = diffusion.samples_at(self.guidance)
        return Selection(found, self.evaluations(len(targets), len(ordinary), samples))

    def mask(self, diffusion: Diffusion, prompts: list[str], ordinary: list[str] | None = None) -> Mask:
        """The mask of a set of memorized prompts; ``ordinary``: captions for that base."""
        return self.masks(diffusion, diffusion.encode_prompts(prompts), ordinary or [], False)[0]

    def masks(self, diffusion: Diffusion, y: Tensor, ordinary: list[str], each: bool) -> list[Mask]:
        """The one mask of a set of embeddings (n, tokens, width), or one of ``each``.

        Raises:
            InputError: a ratio that keeps no weight of the narrowest layer.
        """
        captions = self._base(ordinary)
        memorized = self.norms(diffusion, y, each)
        base = self.norms(diffusion, diffusion.encode_prompts(captions), each=False)
        scale = (1 if each else len(y)) / len(captions)
        usual = [{name: x[0] * scale for name, x in step.items()} for step in base]
        return [
            self._above(diffusion, [{name: x[i] for name, x in step.items()} for step in memorized], usual)
            for i in range(len(y) if each else 1)
        ]

    def _base(self, ordinary: list[str]) -> list[str]:
        if self.base == "empty":
            return [""]
        if not ordinary:
            raise InputError(
                "pruning.base=ordinary needs ordinary captions: give data.ordinary, or base=empty"
            )
        return ordinary

    def _kept(self, name: str, columns: int) -> int:
        if kept := int(self.ratio * columns):
            return kept
        raise InputError(
            f"pruning.ratio {self.ratio} selects no weight: layer {name} has {columns} columns, so use at"
            f" least {1 / columns:.2g}"
        )

    def _above(
        self, diffusion: Diffusion, memorized: list[dict[str, Tensor]], base: list[dict[str, Tensor]]
    ) -> Mask:
        """From squared column norms at each timestep to the weights that score high, and above the base."""
        mask: Mask = {}
        for name, layer in diffusion.layers("feed_forward").items():
            first = diffusion.first_column(name)
            weight = layer.weight.detach()[:, first:].abs().double().cpu()
            keep = self._kept(name, weight.shape[1])
            part = torch.zeros_like(weight, dtype=torch.bool)
            for at_memorized, at_base in zip(memorized, base, strict=True):
                score = weight * at_memorized[name].sqrt()
                # ties go to the lower column: a stable sort, the same on every device
                top = score.argsort(dim=1, descending=True, stable=True)[:, :keep]
                chosen = torch.zeros_like(part).scatter_(1, top, True)
                part |= chosen & (score > weight * at_base[name].sqrt())
            mask[name] = F.pad(part, (first, 0))
        return mask
