"""Random numbers that depend on what they are for, never on the order of the work."""

import hashlib

import torch


def derive(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed from (seed, purpose), e.g. ``derive(0, "image", target.name, 3)``."""
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator of its own for (seed, purpose): the same numbers on every device."""
    return torch.Generator().manual_seed(derive(seed, *purpose))
