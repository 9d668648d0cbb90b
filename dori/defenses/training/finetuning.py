"""A defense that trains the model: its settings, and what can be said of them before any long work."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
from torch import Tensor

from dori.attacks import Attack
from dori.core.costs import Cost
from dori.core.errors import InputError, check_positive
from dori.core.neutral import neutral
from dori.data import MEMORIZED, Data, Target
from dori.defenses.terms.terms import Counted, Term
from dori.defenses.training.lora import matching
from dori.defenses.training.surrogates import Surrogates
from dori.defenses.training.validation import Validation, check_attack
from dori.diffusion import Diffusion

TARGETS = ("all", "half")
KEEP = ("last", "best")


@neutral("micro_batch", "save_every")
@dataclass(frozen=True)
class Finetuning:
    """Fine-tuning against what an inner attack finds (Finding DoRI, section 5), and its ablations.

    In each epoch every target is attacked once on the model as it is, and its surrogates are learned
    at the embeddings found, beside ordinary pictures. Not published, so ours: optimizer, sizes, EMA.

    Args:
        name: how rows and reports call it.
        terms: what is minimised, a sum, by name.
        attack: of the inner loop; null: surrogates at the prompts' own embeddings.
        surrogates: where the images come from that are learned in place of the memorized ones.
        validation: how the training is watched.
        optimizer: of ``torch.optim``, given the weights.
        epochs: 5 in the paper.
        targets: memorized ones to train on: ``all``, or ``half``: the development half, so that the
            held-out half shows whether it generalises.
        batch: targets of one attack.
        updates: of the weights after each attack; 1 in the paper.
        warm_steps: see ``Adversary``.
        weights: regular expression, found in the names of the denoiser's weights that are trained; null: all.
        lora: a ``peft.LoraConfig`` to train in place of all weights.
        ema: decay of the average of the weights, which is what comes out; 0: the last weights.
        clip: the most that a gradient's norm may be.
        micro_batch: most samples in one call of the denoiser with gradients for weights; bounds the memory.
        keep: the averaged weights of the ``last`` epoch, or of the ``best`` one by the validation's score.
        patience: epochs without a better score after which the training ends; null: never.
        save_every: seconds between two checkpoints, which are four to five times the denoiser's size.
        allow_memorized: train on ordinary pictures that a memorized image is among.
    """

    name: str
    terms: dict[str, Term]
    attack: Attack | None
    surrogates: Surrogates
    validation: Validation
    optimizer: Callable[..., torch.optim.Optimizer]
    epochs: int
    batch: int
    targets: str = "all"
    updates: int = 1
    warm_steps: int | None = None
    weights: str | None = None
    lora: Any = None
    ema: float = 0.0
    clip: float = 1.0
    micro_batch: int = 64
    keep: str = "last"
    patience: int | None = None
    save_every: float = 900
    allow_memorized: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for key in ("epochs", "batch", "updates", "micro_batch"):
            value = getattr(self, key)
            if not isinstance(value, int):
                raise InputError(f"defense.{key} must be a whole number, but is {value!r}")
            check_positive(f"defense.{key}", value)
        check_positive("defense.clip", self.clip)
        if self.save_every < 0:
            raise InputError(f"defense.save_every must be 0 seconds or more, but is {self.save_every}")
        for key in ("warm_steps", "patience"):
            if (value := getattr(self, key)) is not None:
                check_positive(f"defense.{key}", value)
        for key, known in {"targets": TARGETS, "keep": KEEP}.items():
            if getattr(self, key) not in known:
                raise InputError(f"defense.{key} must be {' or '.join(known)}, but is {getattr(self, key)!r}")
        if not 0 <= self.ema < 1:
            raise InputError(f"defense.ema must be 0 or more and below 1, but is {self.ema}")
        if self.weights and self.lora:
            raise InputError("defense.weights and defense.lora are two choices of what is trained: set one")
        check_attack("defense.attack", self.attack)
        _try(self.optimizer)

    @property
    def uses_surrogates(self) -> bool:
        """Whether any term learns surrogates."""
        return any(term.uses_surrogates for term in self.terms.values())

    def trained(self, data: Data) -> list[Target]:
        """The memorized targets that it trains on."""
        memorized = data.of(*MEMORIZED)
        return memorized if self.targets == "all" else [t for t in memorized if t.half == "development"]

    def cost(self, diffusion: Diffusion, data: Data) -> Cost:
        """What the training takes, without what only watches it."""
        targets = len(self.trained(data))
        first = self.attack.evaluations(diffusion, targets) if self.attack else 0
        later = self.attack.evaluations(diffusion, targets, self.warm_steps) if self.attack else 0
        attacks = first + (self.epochs - 1) * later
        learned = sum(t.samples(self.batch) for t in self.terms.values() if isinstance(t, Counted))
        return Cost(gradient=attacks + self.epochs * ceil(targets / self.batch) * self.updates * learned)

    def check(self, diffusion: Diffusion, data: Data) -> None:
        """Reads no weights.

        Raises:
            InputError: what this model or this data does not have.
        """
        if diffusion.stored_dtype != torch.float32:
            raise InputError(
                f"defense={self.name} trains weights in {diffusion.stored_dtype}: set model.dtype=float32"
                " (and, on a GPU, trainer.precision=bf16-mixed)"
            )
        if self.weights:
            matching(diffusion.skeleton, self.weights)
        if not self.trained(data):
            raise InputError(f"defense={self.name} needs memorized targets to train on, but there are none")
        if data.training is None:
            raise InputError(
                f"defense={self.name} needs ordinary pictures, to train on and to watch: set data.training"
            )
        if data.training.count <= self.validation.ordinary:
            raise InputError(
                f"data.training has {data.training.count} pictures, and defense.validation.ordinary takes"
                f" {self.validation.ordinary}: none is left to train on"
            )
        if self.uses_surrogates:
            self.surrogates.pruning.check(diffusion, data)
        for attack in (self.attack, self.validation.attack):
            if attack:
                attack.check(diffusion, data)


def _try(optimizer: Callable[..., torch.optim.Optimizer]) -> None:
    """One step on nothing: wrong arguments show now, not after the surrogates."""
    weight: Tensor = torch.nn.Parameter(torch.zeros(1))
    weight.grad = torch.zeros(1)
    try:
        optimizer([weight]).step()
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"defense.optimizer cannot be used: {error}") from error
