"""Whether the device at hand has the memory that a job's attack needs."""

import os

import torch

from dori.core.disk import amount
from dori.diffusion.family import Family
from dori.diffusion.memory import needs, usable
from dori.steps.run import Run


def told(run: Run) -> str | None:
    """A line for the plan, where there is an attack; reads no weights."""
    model = run.diffusion
    if run.attack is None or not isinstance(model, Family):
        return None
    found, (name, memory) = needs(model), device_of(run)
    needed = f"memory: needs about {amount(found.attack())} for the attack"
    device = f"{name} ({amount(memory)})"
    if count := found.samples(usable(memory)):
        more = f"{amount(found.sample)} each, of which {count} fit"
        return f"{needed} with one sample in a call: fits on {device}; samples take {more}"
    less = [f"model.{key}=true" for key in ("offload", "gradient_checkpointing") if not getattr(model, key)]
    return f"{needed}: does not fit on {device}" + (f"; set {' and '.join(less)}" if less else "")


def device_of(run: Run) -> tuple[str, int]:
    """Name and bytes of what the trainer works on."""
    device = run.trainer().strategy.root_device
    if device.type == "cuda":
        found = torch.cuda.get_device_properties(device)
        return found.name, found.total_memory
    return str(device), os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
