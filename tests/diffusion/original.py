"""The names of the original code for a pipeline's weights: what single files of Civitai and Comfy have."""

import re
from collections.abc import Collection
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.diffusion.folders import weights

LEVELS, PER_LEVEL = 3, 1  # resolutions of the tiny autoencoders; residual blocks of the U-Nets at each


def unet_name(name: str, others: Collection[str]) -> str:
    """Of the original U-Net, whose blocks are numbered through from the input to the output."""
    for ours, theirs in {
        "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
        "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
        "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
    }.items():  # fmt: skip
        if name.startswith(f"{ours}."):
            return name.replace(ours, theirs)
    found = re.match(
        r"(down|mid|up)_blocks?\.(?:(\d)\.)?(resnets|attentions|downsamplers|upsamplers)\.(\d)\.", name
    )
    assert found
    side, level, kind, place = found[1], int(found[2] or 0), found[3], int(found[4])
    rest = name[found.end() :]
    for ours, theirs in {
        "norm1.": "in_layers.0.", "conv1.": "in_layers.2.", "norm2.": "out_layers.0.",
        "conv2.": "out_layers.3.", "time_emb_proj.": "emb_layers.1.", "conv_shortcut.": "skip_connection.",
    }.items():  # fmt: skip
        if kind == "resnets" and rest.startswith(ours):
            rest = rest.replace(ours, theirs)
    second = int(kind == "attentions")
    if side == "mid":
        return f"middle_block.{1 if second else 2 * place}.{rest}"
    if kind == "downsamplers":
        return f"input_blocks.{(level + 1) * (PER_LEVEL + 1)}.0.{rest.replace('conv', 'op')}"
    if kind == "upsamplers":  # after the last block's residual and, where it has one, its attention
        attended = any(other.startswith(f"up_blocks.{level}.attentions") for other in others)
        return f"output_blocks.{level * (PER_LEVEL + 1) + PER_LEVEL}.{1 + attended}.{rest}"
    if side == "down":
        return f"input_blocks.{1 + level * (PER_LEVEL + 1) + place}.{second}.{rest}"
    return f"output_blocks.{level * (PER_LEVEL + 1) + place}.{second}.{rest}"


def vae_name(name: str) -> str:
    """Of the original autoencoder, whose decoder counts its levels from the finest."""
    name = re.sub(r"down_blocks\.(\d)\.resnets\.", r"down.\1.block.", name)
    name = re.sub(r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name)
    name = re.sub(r"up_blocks\.(\d)\.resnets\.", lambda m: f"up.{LEVELS - 1 - int(m[1])}.block.", name)
    name = re.sub(r"up_blocks\.(\d)\.upsamplers\.0", lambda m: f"up.{LEVELS - 1 - int(m[1])}.upsample", name)
    name = re.sub(r"mid_block\.resnets\.(\d)", lambda m: f"mid.block_{int(m[1]) + 1}", name)
    name = name.replace("mid_block.attentions.0", "mid.attn_1").replace("conv_norm_out", "norm_out")
    name = (
        name.replace("group_norm", "norm")
        .replace("to_out.0", "proj_out")
        .replace("conv_shortcut", "nin_shortcut")
    )
    return re.sub(r"attn_1\.to_(\w)", r"attn_1.\1", name)


def open_clip(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """XL's second text encoder: queries, keys and values in one, the projection on the other side."""
    found = {}
    for name, value in weights.items():
        told = name.removeprefix("text_model.").replace("encoder.layers.", "transformer.resblocks.")
        for ours, theirs in {
            "embeddings.position_embedding.weight": "positional_embedding", "embeddings.token": "token",
            "final_layer_norm": "ln_final", "layer_norm": "ln_", "mlp.fc1": "mlp.c_fc",
            "mlp.fc2": "mlp.c_proj", "self_attn": "attn",
        }.items():  # fmt: skip
            told = told.replace(ours, theirs)
        if "q_proj" in name:
            three = [weights[name.replace("q_proj", each)] for each in ("q_proj", "k_proj", "v_proj")]
            found[told.replace("q_proj.", "in_proj_")] = torch.cat(three)
        elif told == "text_projection.weight":
            found["text_projection"] = value.T.contiguous()
        elif "k_proj" not in name and "v_proj" not in name:
            found[told] = value
    return found


def original(folder: Path) -> dict[str, Tensor]:
    """Weights of Stable Diffusion 1 or XL as their original code named them."""
    unet = weights(folder, "unet")
    found = {f"model.diffusion_model.{unet_name(name, unet)}": value for name, value in unet.items()}
    for name, value in weights(folder, "vae").items():
        told = vae_name(name)
        convolved = "attn_1" in told and value.ndim == 2  # attention was of 1 x 1 convolutions
        found[f"first_stage_model.{told}"] = value[:, :, None, None].contiguous() if convolved else value
    second = folder / "text_encoder_2/model.safetensors"
    first = "conditioner.embedders.0" if second.exists() else "cond_stage_model"
    for name, value in weights(folder, "text_encoder").items():
        found[f"{first}.transformer.text_model.{name.removeprefix('text_model.')}"] = value
    if second.exists():
        found |= {f"conditioner.embedders.1.model.{k}": v for k, v in open_clip(load_file(second)).items()}
    return found
