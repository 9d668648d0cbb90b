"""Wanda as its paper describes it, without any savings: prompt by prompt, all steps, full inputs.

Nothing of dori's Wanda is imported: of dori there is the model with its networks, and the settings.
"""

import math
from typing import Any

import torch
from diffusers import DDIMScheduler, PNDMScheduler
from torch import Tensor

from dori.diffusion import StableDiffusion


def inputs_of(model: StableDiffusion, wanda: Any, y: Tensor, empty: Tensor) -> list[dict[str, Tensor]]:
    """One prompt through the whole schedule; at each step every layer's full input (rows, columns)."""
    kept: list[dict[str, Tensor]] = []
    layers = {n: m for n, m in model.denoiser.named_modules() if n.endswith("ff.net.2")}
    hooks = [
        layer.register_forward_hook(
            lambda _, x, __, name=name: kept[-1].__setitem__(name, x[0].flatten(0, 1))
        )
        for name, layer in layers.items()
    ]
    config = model.pipeline.scheduler.config
    if wanda.scheduler == "ddim":
        schedule = DDIMScheduler.from_config(config)
    else:  # as in Stable Diffusion 1.4's scheduler_config.json
        schedule = PNDMScheduler(
            beta_start=config.beta_start, beta_end=config.beta_end, beta_schedule=config.beta_schedule,
            num_train_timesteps=config.num_train_timesteps, steps_offset=config.steps_offset,
            prediction_type=config.prediction_type, set_alpha_to_one=False, skip_prk_steps=True,
        )  # fmt: skip
    schedule.set_timesteps(wanda.steps)
    z = torch.randn(1, *model.latent_shape, generator=torch.Generator().manual_seed(wanda.seed))
    z = z.to(model.dtype)
    for t in schedule.timesteps:
        kept.append({})
        unconditional, conditional = model.denoiser(
            z.repeat(2, 1, 1, 1), t, torch.cat([empty, y])
        ).sample.chunk(2)
        z = schedule.step(unconditional + wanda.guidance * (conditional - unconditional), t, z).prev_sample
    for hook in hooks:
        hook.remove()
    return kept


def column_norms(runs: list[list[dict[str, Tensor]]], step: int, name: str) -> Tensor:
    """Root of the sum of squares, over tokens, both guidance halves and prompts, of unit rows."""
    x = torch.cat([run[step][name] for run in runs]).double()
    return (x / x.norm(dim=1, keepdim=True)).square().sum(0).sqrt()


@torch.no_grad()
def reference(
    model: StableDiffusion, wanda: Any, prompts: list[str], ordinary: list[str] | None = None
) -> dict[str, Tensor]:
    empty = model.encode_prompts([""])
    memorized = [inputs_of(model, wanda, model.encode_prompts([p]), empty) for p in prompts]
    others = ordinary or [""] * len(prompts)
    base = [inputs_of(model, wanda, model.encode_prompts([p]), empty) for p in others]
    mask = {}
    for name, layer in model.denoiser.named_modules():
        if not name.endswith("ff.net.2"):
            continue
        weight = layer.weight.detach().double().abs()
        pruned = torch.zeros_like(weight, dtype=torch.bool)
        for step in range(wanda.used):
            score = weight * column_norms(memorized, step, name)
            # as if there were as many ordinary captions as prompts
            usual = weight * column_norms(base, step, name) * (len(prompts) / len(others)) ** 0.5
            for row in range(len(weight)):
                highest = score[row].topk(math.floor(wanda.ratio * weight.shape[1])).indices
                for column in highest.tolist():
                    pruned[row, column] |= score[row, column] > usual[row, column]
        mask[name] = pruned
    return mask
