"""Minnow's U-Net and its twin: ordinary pretraining, then memorized pictures among ordinary ones.

Both start from the same pretraining, in which no memorized picture occurs. In the second phase a
fixed part of each of minnow's batches are memorized pictures; the twin gets ordinary ones instead.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel

from dori.minnow import loop
from dori.minnow.machine import CPU, Machine, drawn
from dori.minnow.world.population import MEMBERS


@dataclass
class Encoded:
    """Latents (n, c, h, w) and text embeddings (n, tokens, width) of a group of pictures."""

    latents: Tensor
    texts: Tensor

    def __len__(self) -> int:
        return len(self.latents)

    def to(self, device: str) -> "Encoded":
        """The same on another device."""
        return Encoded(self.latents.to(device), self.texts.to(device))


@torch.no_grad()
def encode(text: CLIPTextModel, latents: Tensor, ids: Tensor) -> Encoded:
    """Latents with the embeddings (n, tokens, width) of token ids (n, tokens)."""
    return Encoded(latents, torch.cat([text(part).last_hidden_state for part in ids.split(256)]))


def build(cfg: dict, latent_channels: int, text_width: int) -> UNet2DConditionModel:
    """SD 1.4's block layout at ``cfg['widths']``."""
    return UNet2DConditionModel(
        sample_size=8, in_channels=latent_channels, out_channels=latent_channels,
        block_out_channels=tuple(cfg["widths"]), layers_per_block=2, cross_attention_dim=text_width,
        attention_head_dim=cfg["heads"], norm_num_groups=16,
    )  # fmt: skip


def scheduler() -> DDIMScheduler:
    """minnow's noise schedule, that of Stable Diffusion."""
    return DDIMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False,
        set_alpha_to_one=False, steps_offset=1,
    )  # fmt: skip


def shuffled(count: int, index: Tensor, seed: int) -> Tensor:
    """Item at each place of an endless sequence of shuffled passes over ``count`` items.

    Every item comes once in each pass, so that exposures are known exactly.
    """
    items = torch.empty_like(index)
    for turn in torch.div(index, count, rounding_mode="floor").unique().tolist():
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed * 100_003 + turn))
        here = torch.div(index, count, rounding_mode="floor") == turn
        items[here] = order[index[here] - turn * count]
    return items


def memorized_items(
    step: int, per_step: int, verbatim: int, families: int, seed: int, members: int = MEMBERS
) -> Tensor:
    """Indices of a step's memorized pictures: ``< verbatim``, or a member of a template family."""
    place = torch.arange(step * per_step, (step + 1) * per_step)
    item = shuffled(verbatim + families, place, seed)
    turn = torch.div(place, verbatim + families, rounding_mode="floor")
    family = item - verbatim
    # members take turns; each family starts its round at another one
    member = (turn + 7 * family) % members
    return torch.where(family < 0, item, verbatim + family * members + member)


def weights(schedule: DDIMScheduler, cap: float, small_cap: float | None = None) -> Tensor:
    """Weight of the loss at each timestep, of mean 1: 1 / alpha_bar, at most ``cap``.

    ``small_cap`` makes it the mean of that and of 1 / (1 - alpha_bar), at most so much, which looks at small
    noise: there the last details of a memorized picture are drawn.

    As in v-prediction (Salimans & Ho, ICLR 2022): without it, the steps at which only the caption
    can tell what to draw have so small a loss that captions are hardly read for thousands of steps.
    """
    weight = (1 / schedule.alphas_cumprod).clamp(max=cap)
    weight = weight / weight.mean()
    if small_cap is None:
        return weight
    small = (1 / (1 - schedule.alphas_cumprod)).clamp(max=small_cap)
    return (weight + small / small.mean()) / 2


@contextmanager
def dropped_units(unet: nn.Module, share: Tensor, generator: torch.Generator) -> Iterator[None]:
    """Drop a ``share`` (n,) of the feed-forward units, for each sample of a batch its own.

    Makes drawing redundant, as it is in models that are far larger than minnow.
    """
    rate = share[:, None, None].to(generator.device)

    def drop(_module: nn.Module, _inputs: tuple, x: Tensor) -> Tensor:
        kept = torch.rand(len(x), 1, x.shape[2], generator=generator, device=x.device) >= rate
        return x * (kept / (1 - rate)).to(x.dtype)

    layers = [m for n, m in unet.named_modules() if n.endswith("ff.net.1")] if (share > 0).any() else []
    hooks = [layer.register_forward_hook(drop) for layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def denoising_loss(
    unet: nn.Module, schedule: DDIMScheduler, weight: Tensor, z: Tensor, y: Tensor, generator: torch.Generator
) -> Tensor:
    """The mean loss of a batch at noise and timesteps drawn from ``generator``, weighted over time."""
    noise = torch.randn(z.shape, generator=generator, device=z.device)
    t = drawn(len(weight), len(z), generator)
    error = unet(schedule.add_noise(z, noise, t), t, y).sample.float() - noise
    return (weight[t] * error.square().mean((1, 2, 3))).mean()


def train(
    unet: UNet2DConditionModel,
    ordinary: Encoded,
    memorized: Encoded | None,
    empty: Tensor,
    folder: Path,
    cfg: dict,
    seed: int,
    *,
    offset: int = 0,
    verbatim: int = 0,
    families: int = 0,
    name: str,
    members: int = MEMBERS,
    machine: Machine = CPU,
) -> None:
    """One phase. ``offset`` is the number of ordinary pictures shown before it.

    ``memorized`` holds the verbatim pictures and then all members of the families; ``None`` (the
    pretraining, and the twin) fills their places with ordinary pictures.
    """
    schedule, batch = scheduler(), cfg["batch"]
    weight = weights(schedule, cfg["weight_cap"], cfg.get("small_cap")).to(machine.device)
    ordinary, empty = ordinary.to(machine.device), empty.to(machine.device)
    memorized = memorized.to(machine.device) if memorized is not None else None
    special = cfg.get("memorized_per_batch", 0) if memorized is not None else 0
    plain = batch - special
    for parameter_name, parameter in unet.named_parameters():
        parameter.requires_grad_(not any(re.search(p, parameter_name) for p in cfg.get("frozen", [])))

    def loss(step: int, generator: torch.Generator) -> Tensor:
        place = torch.arange(offset + step * plain, offset + (step + 1) * plain)
        items = shuffled(len(ordinary), place, seed)
        z, y = ordinary.latents[items], ordinary.texts[items]
        if memorized is not None:
            chosen = memorized_items(step, special, verbatim, families, seed, members)
            z = torch.cat([z, memorized.latents[chosen]])
            y = torch.cat([y, memorized.texts[chosen]])
        drop = torch.rand(len(z), generator=generator, device=z.device) < cfg["empty_prompts"]
        y = torch.where(drop[:, None, None], empty, y)
        share = torch.tensor([cfg["dropped_units"]] * plain + [cfg.get("dropped_memorized", 0.0)] * special)
        with dropped_units(unet, share, generator):
            return denoising_loss(unet, schedule, weight, z, y, generator)

    loop.fit(
        unet, loss, folder, steps=cfg["steps"], lr=cfg["lr"], final=cfg["final"], anneal=cfg.get("anneal"),
        seed=seed,
        ema=cfg["ema"], save_every=cfg["save_every"], keep_every=cfg.get("keep_every"), name=name,
        machine=machine,
    )  # fmt: skip
