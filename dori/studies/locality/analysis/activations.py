"""What embeddings make of a model's layers at fixed noise, compared pair by pair in blocks.

Memory: the activations of two blocks of embeddings, never of all. At SD 1.4's shapes an embedding has
46 MB of them in float32 (to_v of seven layers, ff.net.2 of sixteen), so blocks of 64 take 6 GB and
one layer's distances up to 1.3 GB more, for 100 triggers as for 1,000; blocks are computed anew for
every pair of blocks, n^2 / (2 * block) + n / 2 samples through the denoiser.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from dori.core.randomness import generator
from dori.diffusion import Diffusion

Reduce = Callable[[Tensor], Tensor]  # a layer's output (n, tokens, neurons) -> what is kept of it (n, ...)


def everything(out: Tensor) -> Tensor:
    """(n, tokens * neurons)."""
    return out.flatten(1)


def answer(out: Tensor) -> Tensor:
    """NeMo's activation of a neuron: mean over tokens of its absolute output, (n, neurons)."""
    return out.float().abs().flatten(1, -2).mean(1)


@contextmanager
def recorded(layers: dict[str, nn.Linear], reduce: Reduce) -> Iterator[dict[str, list[Tensor]]]:
    """What is kept of the layers' outputs, one tensor for each call of the denoiser."""
    kept: dict[str, list[Tensor]] = {name: [] for name in layers}
    hooks = [
        layer.register_forward_hook(lambda _, __, out, name=name: kept[name].append(reduce(out)))
        for name, layer in layers.items()
    ]
    try:
        yield kept
    finally:
        for hook in hooks:
            hook.remove()


def fixed_noise(diffusion: Diffusion, seed: int) -> Tensor:
    """The one initial noise (1, c, h, w) that all embeddings are looked at with; ours."""
    return torch.randn(1, *diffusion.latent_shape, generator=generator(seed, "activations"))


@torch.no_grad()
def activations(
    diffusion: Diffusion, layers: dict[str, nn.Linear], y: Tensor, noise: Tensor,
    reduce: Reduce = everything,
) -> dict[str, Tensor]:  # fmt: skip
    """Outputs of the layers for each embedding (n, tokens, width), at NeMo's timestep on ``noise``."""
    device, dtype = diffusion.device, diffusion.dtype
    with recorded(layers, reduce) as kept:
        for part in y.split(diffusion.batch):
            t = torch.full((len(part),), diffusion.noise_timestep, device=device)
            z = noise.to(device, dtype).expand(len(part), -1, -1, -1)
            diffusion.predict(z, t, part.to(device, dtype))
    return {name: torch.cat(parts) for name, parts in kept.items()}


def block_distances(
    diffusion: Diffusion, layers: dict[str, nn.Linear], y: Tensor, noise: Tensor, first: int, size: int
) -> dict[str, Tensor]:
    """L2 of the activations of ``y[first : first + size]`` to those from ``first`` on, and their norms.

    Per layer (size, n - first) in float64; ``norm/<layer>`` (size,).
    """
    own = activations(diffusion, layers, y[first : first + size], noise)
    found = {f"norm/{name}": x.double().norm(dim=1).cpu() for name, x in own.items()}
    rows: dict[str, list[Tensor]] = {name: [] for name in layers}
    for start in range(first, len(y), size):
        other = own if start == first else activations(diffusion, layers, y[start : start + size], noise)
        for name, x in own.items():
            rows[name].append(torch.cdist(x.double(), other[name].double()).cpu())
    return found | {name: torch.cat(parts, 1).contiguous() for name, parts in rows.items()}


def samples(n: int, size: int) -> int:
    """samples through the denoiser for all blocks of n embeddings."""
    return sum(n - first for first in range(0, n, size))


def whole(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The blocks' rows, in their order, to symmetric matrices (n, n) and norms (n,)."""
    found: dict[str, Tensor] = {}
    for name in parts[0]:
        if name.startswith("norm/"):
            found[name] = torch.cat([part[name] for part in parts])
            continue
        n = parts[0][name].shape[1]
        matrix = torch.zeros(n, n, dtype=torch.float64)
        for part in parts:
            first = n - part[name].shape[1]
            rows = slice(first, first + len(part[name]))
            matrix[rows, first:], matrix[first:, rows] = part[name], part[name].T
        found[name] = matrix.fill_diagonal_(0)
    return found
