"""One training loop for minnow's networks: seeded by step, resumable at any moment, safetensors."""

import math
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from tqdm import tqdm

from dori.core.files import save_tensors
from dori.minnow.machine import CPU, Machine, TimeUp

Loss = Callable[[int, torch.Generator], Tensor]
LOG_EVERY = 50  # steps


def rate(step: int, steps: int, peak: float, final: float, warmup: int, anneal: int | None = None) -> float:
    """Learning rate at a step: linear warm-up, then a cosine from ``peak`` to ``peak * final``.

    The cosine takes the last ``anneal`` steps, ``peak`` being held until then; all, if None.
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    start = warmup if anneal is None else max(warmup, steps - anneal)
    share = max(0, step - start) / max(1, steps - start)
    return peak * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * share)))


class Ema:
    """Exponential moving average of a model's parameters; ``decay`` grows from 0 at the start."""

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self.shadow = [p.detach().clone() for p in model.parameters()]

    def update(self, model: nn.Module, step: int) -> None:
        """Move the average towards the weights, faster in the first steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self.shadow, [p.detach() for p in model.parameters()], 1 - decay)

    def copy_to(self, model: nn.Module) -> None:
        """Give a model the averaged weights."""
        for p, average in zip(model.parameters(), self.shadow, strict=True):
            p.data.copy_(average)


def _save(path: Path, step: int, model: nn.Module, optimizer: torch.optim.Optimizer, ema: Ema) -> None:
    tensors = {f"model.{k}": v.contiguous() for k, v in model.state_dict().items()}
    tensors |= {f"ema.{i}": v for i, v in enumerate(ema.shadow)}
    for i, state in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{i}.{k}": v for k, v in state.items()}
    tensors["step"] = torch.tensor(step)
    save_tensors({k: v.clone() for k, v in tensors.items()}, path)


def _load(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, ema: Ema) -> int:
    tensors = load_file(path)
    model.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
    for i in range(len(ema.shadow)):
        ema.shadow[i].copy_(tensors[f"ema.{i}"])
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        if key.startswith("optimizer."):
            _, place, name = key.split(".")
            state.setdefault(int(place), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})
    return int(tensors["step"])


def fit(
    model: nn.Module,
    loss: Loss,
    folder: Path,
    *,
    steps: int,
    lr: float,
    seed: int,
    final: float = 0.05,
    warmup: int = 100,
    anneal: int | None = None,
    weight_decay: float = 0.01,
    ema: float = 0.999,
    save_every: int = 200,
    keep_every: int | None = None,
    name: str = "fit",
    machine: Machine = CPU,
) -> None:
    """Minimise ``loss(step, generator)`` with AdamW; leaves the averaged weights in ``model``, on the CPU.

    The generator of a step, on the machine's device, depends on (seed, step) alone, and
    ``last.safetensors`` in ``folder`` is replaced atomically: a killed run started again goes on as if
    nothing had happened.
    ``keep_every`` also keeps the averaged weights of every so many steps as ``step-N``.

    Raises:
        TimeUp: at the machine's deadline, the state being kept.
        FloatingPointError: if a loss was not finite.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model.to(machine.device)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=lr, weight_decay=weight_decay, fused=True)
    average = Ema(model, ema)
    last = folder / "last.safetensors"
    start = _load(last, model, optimizer, average) if last.exists() else 0
    generator = torch.Generator(machine.device)
    log = (folder / "loss.csv").open("a")
    # asked of the device now and then only: each question waits for it
    total, saved = torch.zeros((), device=machine.device), time.time()
    for step in tqdm(range(start, steps), initial=start, total=steps, desc=name, mininterval=5):
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps, lr, final, warmup, anneal)
        generator.manual_seed(seed * 1_000_003 + step)
        with machine.autocast():
            value = loss(step, generator)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        average.update(model, step)
        total += value.detach()
        late = time.time() - saved > 60 * machine.save_minutes or machine.over
        keeps = (step + 1) % save_every == 0 or step + 1 == steps or late
        logs = (step + 1) % LOG_EVERY == 0
        if (keeps or logs) and not math.isfinite(total.item()):
            raise FloatingPointError(f"{name}: loss {total.item()} before step {step + 1}; lower lr ({lr})")
        if logs:
            log.write(f"{step + 1},{total.item() / LOG_EVERY:.6f}\n")
            log.flush()
            total.zero_()
        if keeps:
            _save(last, step + 1, model, optimizer, average)
            saved = time.time()
        if machine.over and step + 1 < steps:
            raise TimeUp(f"{name}: stopped after {step + 1} of {steps} steps")
        if keep_every and (step + 1) % keep_every == 0:
            names = [n for n, _ in model.named_parameters()]
            kept = dict(zip(names, average.shadow, strict=True))
            save_tensors({n: v.half() for n, v in kept.items()}, folder / f"step-{step + 1}.safetensors")
    average.copy_to(model)
    model.cpu()
