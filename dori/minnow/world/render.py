"""Pictures from their layers, many at once, on any device."""

from collections.abc import Callable, Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from dori.minnow.world import icons
from dori.minnow.world.layers import KINDS, SIZE, Ground, Icon, Layer

EDGE = 1.4  # pixels over which the two colours of a ground change

# RGB to luminance and two axes of hue
_TO_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


@torch.no_grad()
def render(
    pictures: Sequence[Sequence[Layer]], device: torch.device | str = "cpu", batch: int = 256
) -> Tensor:
    """uint8 (n, 64, 64, 3) on the CPU: each picture's layers, painted one over the other."""
    parts = [_render(pictures[i : i + batch], device).cpu() for i in range(0, len(pictures), batch)]
    return torch.cat(parts)


def _render(pictures: Sequence[Sequence[Layer]], device: torch.device | str) -> Tensor:
    canvas = torch.zeros(len(pictures), 3, SIZE, SIZE, device=device)
    for depth in range(max(map(len, pictures))):
        here = {i: layers[depth] for i, layers in enumerate(pictures) if depth < len(layers)}
        for kind, paint in PAINTERS.items():
            some = {i: layer for i, layer in here.items() if isinstance(layer, kind)}
            if some:
                at, layers = list(some), list(some.values())
                color, alpha = paint(layers, device)
                alpha = alpha * _inside(layers, device)
                canvas[at] = canvas[at] * (1 - alpha) + color * alpha
    return (canvas.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def _column(layers: Sequence, name: str, device: torch.device | str) -> Tensor:
    """An attribute of all layers, (n, 1, 1) or (n, values)."""
    values = torch.tensor([getattr(layer, name) for layer in layers], device=device, dtype=torch.float32)
    return values if values.ndim > 1 else values[:, None, None]


def _grid(device: torch.device | str) -> tuple[Tensor, Tensor]:
    """x (1, 1, w) and y (1, h, 1) of the pixels' centres."""
    line = torch.arange(SIZE, device=device) + 0.5
    return line[None, None, :], line[None, :, None]


def _inside(layers: Sequence[Layer], device: torch.device | str) -> Tensor:
    """How much of each sample lies in the layer's disk, (n, 1, h, w)."""
    x, y = _grid(device)
    u, v, radius = _column(layers, "disk", device)[..., None, None].unbind(1)
    return (radius - torch.hypot(x - u, y - v) + 0.5).clamp(0, 1)[:, None]


def icon_layers(layers: Sequence[Icon], device: torch.device | str) -> tuple[Tensor, Tensor]:
    """Colours (n, 3, h, w) and opacities (n, 1, h, w) of one icon in each picture."""
    half, angle = _column(layers, "half", device), _column(layers, "angle", device)
    x, y = _grid(device)
    dx, dy = (x - _column(layers, "x", device)) / half, (y - _column(layers, "y", device)) / half
    u, v = dx * angle.cos() + dy * angle.sin(), dy * angle.cos() - dx * angle.sin()
    u = torch.where(_column(layers, "mirrored", device) > 0, -u, u)
    grid, place = torch.stack([u, v], -1), torch.tensor([layer.place for layer in layers], device=device)
    found = torch.empty(len(layers), 4, SIZE, SIZE, device=device)
    # a small icon is looked up in smaller tiles: pixels between the looked-up ones would be lost
    small = half.flatten() < icons.SIDE / 4.5
    for these, level in ((small, 1), (~small, 0)):
        if these.any():
            found[these] = F.grid_sample(
                _tiles(level, device)[place[these]], grid[these], align_corners=False
            )
    color, alpha = found[:, :3], found[:, 3:]
    color = torch.einsum("nij,njhw->nihw", _hue_turns(_column(layers, "hue", device).flatten()), color)
    return (color / alpha.clamp(min=1e-3)).clamp(0, 1), alpha


@cache
def _tiles(level: int, device: torch.device | str) -> Tensor:
    return F.avg_pool2d(icons.atlas(), 2**level).to(device)


def _hue_turns(angles: Tensor) -> Tensor:
    """Matrices (n, 3, 3) on RGB that turn the hue and keep the luminance."""
    turn = torch.zeros(len(angles), 3, 3, device=angles.device)
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = angles.cos()
    turn[:, 1, 2], turn[:, 2, 1] = -angles.sin(), angles.sin()
    to_yiq = _TO_YIQ.to(angles.device)
    return torch.linalg.inv(to_yiq) @ turn @ to_yiq


def grounds(layers: Sequence[Ground], device: torch.device | str) -> tuple[Tensor, Tensor]:
    """Colours (n, 3, h, w) of one ground in each picture, and opacity 1."""
    x, y = _grid(device)
    period, angle = _column(layers, "period", device), _column(layers, "angle", device)
    phase = _column(layers, "phase", device)[..., None, None]
    warp = _column(layers, "warp", device)[..., None, None]
    turn = 2 * torch.pi / SIZE
    u = x - SIZE / 2 + warp[:, 0] * (turn * y + 2 * torch.pi * phase[:, 1]).sin()
    v = y - SIZE / 2 + warp[:, 1] * (turn * x + 2 * torch.pi * phase[:, 0]).sin()
    along = (u * angle.cos() + v * angle.sin()) / period
    across = (v * angle.cos() - u * angle.sin()) / period
    across = across * _column(layers, "stretch", device)
    level, turns = _column(layers, "level", device), _column(layers, "turns", device)
    share = torch.empty(len(layers), SIZE, SIZE, device=device)
    for kind in KINDS:
        at = [i for i, layer in enumerate(layers) if layer.kind == kind]
        if at:
            wave = _wave(kind, along[at], across[at], phase[at], turns[at])
            slope = period[at] / (2 * torch.pi * EDGE)
            share[at] = (
                (0.5 + slope * (wave - level[at])).clamp(0, 1) if kind != "shaded" else 0.5 + 0.5 * wave
            )
    first, second = (_column(layers, name, device)[..., None, None] / 255 for name in ("rgb", "rgb2"))
    color = first + (second - first) * share[:, None]
    shade = (
        1
        + _column(layers, "shade", device)
        * ((x - SIZE / 2) * angle.sin() - (y - SIZE / 2) * angle.cos())
        / 45
    )
    return (color * shade[:, None]).clamp(0, 1), torch.ones_like(color[:, :1])


def _wave(kind: str, along: Tensor, across: Tensor, phase: Tensor, turns: Tensor) -> Tensor:
    """A pattern of amplitude about 1, for coordinates in periods about the middle."""
    turn = 2 * torch.pi
    a, b = along + phase[:, 0], across + phase[:, 1]
    # about a point that may lie anywhere in the picture
    u, v = along + 3 * (phase[:, 0] - 0.5), across + 3 * (phase[:, 1] - 0.5)
    radius, angle = torch.hypot(u, v), torch.atan2(v, u)
    match kind:
        case "shaded":
            return (turn * (a / 5)).sin()
        case "striped":
            return (turn * a).sin()
        case "wavy":
            return (turn * (a + 0.3 * (turn * b / 2).sin())).sin()
        case "zigzag":
            return (turn * (a + 0.9 * (b / 2 - (b / 2).round()).abs())).sin()
        case "checked":
            return (turn * a / 2).sin() * (turn * b / 2).sin()
        case "dotted":
            return (turn * a).cos() + (turn * b).cos() - 0.7
        case "ringed":
            return (turn * radius).sin()
        case "rayed":
            return (2 * turns * angle + turn * phase[:, 0]).sin()
        case "spiral":
            return (turn * radius + (turns / 2).floor() * angle).sin()
        case "hilly":
            return 4 * (across + 0.35 * (turn * along / 2.5 + turn * phase[:, 0]).sin() + phase[:, 1] - 0.5)
    raise ValueError(f"unknown kind of ground {kind!r}; known: {', '.join(KINDS)}")


PAINTERS: dict[type, Callable[..., tuple[Tensor, Tensor]]] = {Ground: grounds, Icon: icon_layers}
