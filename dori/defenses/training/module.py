"""The training itself: attack, update the weights, average them, look how far it has come."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import lightning
import torch
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from dori.core import progress
from dori.core.errors import InputError
from dori.core.randomness import generator
from dori.data import Target
from dori.defenses.terms.terms import Samples, Step
from dori.defenses.training.adversary import Adversary
from dori.defenses.training.finetuning import Finetuning
from dori.defenses.training.history import Line, scored, stalled
from dori.defenses.training.lora import add_lora, choose
from dori.defenses.training.material import Material, placed
from dori.diffusion import frozen

# the epoch -> figures of the model as it is, by name; see Validation.measure
Measure = Callable[[int], dict[str, float]]


class FinetuningModule(lightning.LightningModule):
    """Trains the denoiser of ``material.diffusion`` in place; ``average`` holds what comes out.

    One batch is one attack on some targets and the updates after it. All random numbers derive from
    the place in the training, so a checkpoint needs none of their state; it holds weights, average,
    optimizer, embeddings and history.
    """

    def __init__(self, settings: Finetuning, material: Material, measure: Measure):
        super().__init__()
        self.automatic_optimization = False
        self.settings, self.material, self.measure = settings, material, measure
        self.denoiser = material.diffusion.denoiser
        if settings.lora:
            add_lora(self.denoiser, settings.lora, settings.seed)
        else:
            choose(self.denoiser, settings.weights)
        self.average = AveragedModel(self.denoiser, multi_avg_fn=get_ema_multi_avg_fn(settings.ema))
        self.average.requires_grad_(False)
        self.adversary = Adversary(settings.attack, settings.warm_steps, settings.seed)
        self.history: list[Line] = []
        self.losses: dict[str, float] = {}  # sums over the updates of the epoch
        self.samples = 0  # through the denoiser, forward and backward, in updates
        self.before, self.began = 0.0, time.monotonic()  # seconds of attempts that were killed

    @property
    def batches(self) -> int:
        """Attacks of an epoch."""
        return math.ceil(len(self.material.targets) / self.settings.batch)

    def order(self, epoch: int) -> list[list[Target]]:
        """The targets of an epoch's attacks, each target once."""
        targets, size = self.material.targets, self.settings.batch
        order = torch.randperm(len(targets), generator=generator(self.settings.seed, "order", epoch))
        return [[targets[i] for i in part.tolist()] for part in order.split(size)]

    def train_dataloader(self) -> DataLoader:
        # what a batch is follows from its number: so a training that goes on needs no loader's state
        return DataLoader(range(self.batches), batch_size=None)  # type: ignore[arg-type]

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.settings.optimizer([p for p in self.denoiser.parameters() if p.requires_grad])

    def on_fit_start(self) -> None:
        for network in self.material.diffusion.networks:
            network.to(self.device)

    def on_train_start(self) -> None:
        if not self.history:
            self.look(0)
        self.trainer.should_stop = stalled(self.history, self.settings.patience)

    def training_step(self, batch: Any, batch_idx: int) -> None:
        epoch, settings = self.current_epoch, self.settings
        targets = self.order(epoch)[batch_idx]
        embeddings = self.adversary(self.material, targets, epoch)
        first = (epoch * self.batches + batch_idx) * settings.updates
        for number in range(first, first + settings.updates):
            self.update(Step(settings.seed, number, targets, embeddings))

    def update(self, step: Step) -> None:
        """One step of the optimizer on the sum of the terms."""
        optimizer = self.optimizers()
        assert isinstance(optimizer, LightningOptimizer)
        optimizer.zero_grad()
        losses = self.accumulate(step)
        if not all(math.isfinite(loss) for loss in losses.values()):
            told = ", ".join(f"{name} {loss}" for name, loss in losses.items())
            raise InputError(
                f"defense={self.settings.name}: the loss is not finite at update {step.number} ({told}): set"
                " a lower defense.optimizer.lr"
            )
        trained = [p for p in self.denoiser.parameters() if p.requires_grad]
        torch.nn.utils.clip_grad_norm_(trained, self.settings.clip)
        optimizer.step()
        self.average.update_parameters(self.denoiser)
        for name, loss in losses.items():
            self.losses[name] = self.losses.get(name, 0.0) + loss

    def accumulate(self, step: Step) -> dict[str, float]:
        """Adds the terms' gradients, in parts that fit the memory; their mean losses.

        Each rank takes its share of every term's samples; gradients are reduced once, with the last part.
        """
        diffusion, terms, trainer = self.material.diffusion, self.settings.terms, self.trainer
        rank, ranks = trainer.global_rank, trainer.world_size
        parts: list[tuple[str, Samples, int]] = []
        for name, term in terms.items():
            samples = term.draw(self.material, step)
            count = len(next(iter(samples.values())))
            self.samples += count
            for places in torch.arange(count)[rank::ranks].split(self.settings.micro_batch):
                if len(places):
                    parts.append((name, {key: value[places] for key, value in samples.items()}, count))
        if not parts:
            raise InputError(f"{ranks} ranks are more than an update has samples: set fewer trainer.devices")
        total = dict.fromkeys(terms, torch.zeros((), device=self.device))
        for place, (name, some, count) in enumerate(parts):
            some = {key: placed(value, self.device, diffusion.dtype) for key, value in some.items()}
            loss = terms[name].loss(diffusion, some).sum() / count
            with self.reduced(place == len(parts) - 1):
                # the ranks' gradients are averaged, so that each counts as many times
                self.manual_backward(loss * (terms[name].weight * ranks))
            total[name] = total[name] + loss.detach()
        summed = trainer.strategy.reduce(torch.stack(list(total.values())), reduce_op="sum")
        assert isinstance(summed, Tensor)
        return dict(zip(terms, summed.tolist(), strict=True))

    def reduced(self, now: bool) -> AbstractContextManager[None]:
        """Whether a backward pass ends with the reduction of gradients over ranks."""
        strategy = self.trainer.strategy
        if now or not isinstance(strategy, DDPStrategy):
            return nullcontext()
        return strategy.block_backward_sync()

    def evaluations(self) -> dict[str, int]:
        """Samples through the denoiser that the training needed; what only watches it is left out."""
        attacks = self.adversary.evaluations
        return {"denoiser_evaluations": attacks + self.samples, "attack_evaluations": attacks}

    @property
    def seconds(self) -> float:
        """What the training has taken, without what a kill undid."""
        return self.before + time.monotonic() - self.began

    def on_train_epoch_end(self) -> None:
        epoch = self.current_epoch + 1
        updates = self.batches * self.settings.updates
        trained = {f"loss_{name}": total / updates for name, total in self.losses.items()}
        self.losses = {}
        last = epoch == self.settings.epochs
        if last or epoch % self.settings.validation.every == 0:
            self.look(epoch, trained)
        self.trainer.should_stop = stalled(self.history, self.settings.patience)

    def look(self, epoch: int, trained: dict[str, float] | None = None) -> None:
        """A line of the history, from the averaged weights."""
        with self.averaged(), frozen(self.denoiser):
            found = self.trainer.strategy.broadcast(self.measure(epoch))  # all ranks must agree when to stop
        self.history.append({"epoch": epoch, **(trained or {}), **scored(self.history, found)})
        progress.look(self.history[-1])

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The averaged weights take the place of the trained ones, inside."""
        pairs = list(zip(self.denoiser.parameters(), self.average.module.parameters(), strict=True))

        def swap() -> None:
            for one, other in pairs:
                one.data, other.data = other.data, one.data

        swap()
        try:
            yield
        finally:
            swap()

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        adversary = self.adversary
        checkpoint["defense"] = {
            "embeddings": adversary.found, "evaluations": adversary.evaluations, "history": self.history,
            "losses": self.losses, "samples": self.samples, "seconds": self.seconds,
        }  # fmt: skip

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        kept = checkpoint["defense"]
        self.adversary.found, self.adversary.evaluations = kept["embeddings"], kept["evaluations"]
        self.history, self.losses, self.samples = kept["history"], kept["losses"], kept["samples"]
        self.before, self.began = kept["seconds"], time.monotonic()
