"""The published models in their true shapes: pipelines whose settings are whole, and whose weights are holes.

Settings are those of the repositories' ``config.json``, but for what is their class's default. A file of
weights is a header and a hole, which takes no disk, and is read as zeros.
"""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxTransformer2DModel,
    PixArtTransformer2DModel,
    SD3Transformer2DModel,
    UNet2DConditionModel,
)
from torch import nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from dori.core.config import PACKAGE

V1 = {"sample_size": 64, "block_out_channels": (320, 640, 1280, 1280), "cross_attention_dim": 768}
V2 = V1 | {
    "sample_size": 96, "cross_attention_dim": 1024, "attention_head_dim": [5, 10, 20, 20],
    "use_linear_projection": True,
}  # fmt: skip
XL = {
    "sample_size": 128, "block_out_channels": (320, 640, 1280), "cross_attention_dim": 2048,
    "attention_head_dim": [5, 10, 20], "transformer_layers_per_block": [1, 2, 10],
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "use_linear_projection": True, "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip
MEDIUM = {
    "sample_size": 128, "patch_size": 2, "in_channels": 16, "out_channels": 16, "num_layers": 24,
    "attention_head_dim": 64, "num_attention_heads": 24, "joint_attention_dim": 4096,
    "caption_projection_dim": 1536, "pooled_projection_dim": 2048, "pos_embed_max_size": 384,
    "dual_attention_layers": tuple(range(13)), "qk_norm": "rms_norm",
}  # fmt: skip
LARGE = MEDIUM | {
    "num_layers": 38, "num_attention_heads": 38, "caption_projection_dim": 2432, "pos_embed_max_size": 192,
    "dual_attention_layers": (),
}  # fmt: skip
SIGMA = {
    "sample_size": 128, "cross_attention_dim": 1152, "caption_channels": 4096, "interpolation_scale": 2,
    "use_additional_conditions": False,
}  # fmt: skip
DEV = {"guidance_embeds": True}

DDPM = partial(
    DDIMScheduler, beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1,
    clip_sample=False,
)  # fmt: skip
Make = Callable[[], nn.Module]


@dataclass(frozen=True)
class Shape:
    """A pipeline's class, its networks, the denoiser first, and its scheduler."""

    kind: str
    networks: dict[str, Make]
    scheduler: Callable[[], Any]


def clip(kind: type[nn.Module], width: int, layers: int, heads: int, projection: int = 768) -> Make:
    """A text encoder of CLIP's kind, four times as wide inside."""
    config = CLIPTextConfig(
        vocab_size=49408, hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers,
        num_attention_heads=heads, max_position_embeddings=77, projection_dim=projection,
    )  # fmt: skip
    return partial(kind, config)


def vae(side: int, channels: int = 4, scale: float = 0.18215, shift: float | None = None) -> Make:
    """The autoencoder that all of them have, but for its latents."""
    return partial(
        AutoencoderKL, block_out_channels=(128, 256, 512, 512), layers_per_block=2, sample_size=side,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=channels, scaling_factor=scale, shift_factor=shift,
        use_quant_conv=shift is None, use_post_quant_conv=shift is None,
    )  # fmt: skip


T5 = partial(T5EncoderModel, T5Config(
    vocab_size=32128, d_model=4096, d_kv=64, d_ff=10240, num_layers=24, num_heads=64,
    feed_forward_proj="gated-gelu",
))  # fmt: skip
L, G = partial(clip, width=768, layers=12, heads=12), partial(clip, width=1280, layers=32, heads=20)


def _old(unet: dict[str, Any], text: Make, side: int, **schedule: Any) -> Shape:
    networks: dict[str, Make] = {
        "unet": partial(UNet2DConditionModel, **unet), "vae": vae(side), "text_encoder": text
    }  # fmt: skip
    return Shape("StableDiffusionPipeline", networks, partial(DDPM, **schedule))


def _third(transformer: dict[str, Any]) -> Shape:
    both = {"text_encoder": L(CLIPTextModelWithProjection),
            "text_encoder_2": G(CLIPTextModelWithProjection, projection=1280)}  # fmt: skip
    return Shape(
        "StableDiffusion3Pipeline",
        {"transformer": partial(SD3Transformer2DModel, **transformer), "vae": vae(1024, 16, 1.5305, 0.0609),
         **both, "text_encoder_3": T5},
        partial(FlowMatchEulerDiscreteScheduler, shift=3.0),
    )  # fmt: skip


SHAPES = {
    "sd14": _old(V1 | {"attention_head_dim": 8}, L(CLIPTextModel), 512),
    "sd21": _old(V2, clip(CLIPTextModel, 1024, 23, 16), 768, prediction_type="v_prediction"),
    "sdxl": Shape(
        "StableDiffusionXLPipeline",
        {"unet": partial(UNet2DConditionModel, **XL), "vae": vae(1024, scale=0.13025),
         "text_encoder": L(CLIPTextModel),
         "text_encoder_2": G(CLIPTextModelWithProjection, projection=1280)},
        DDPM,
    ),
    "pixart": Shape(
        "PixArtSigmaPipeline",
        {"transformer": partial(PixArtTransformer2DModel, **SIGMA), "vae": vae(1024, scale=0.13025),
         "text_encoder": T5},
        partial(DDIMScheduler, clip_sample=False),
    ),
    "sd35": _third(MEDIUM),
    "sd35 large": _third(LARGE),
    "flux": Shape(
        "FluxPipeline",
        {"transformer": partial(FluxTransformer2DModel, **DEV), "vae": vae(1024, 16, 0.3611, 0.1159),
         "text_encoder": L(CLIPTextModel), "text_encoder_2": T5},
        partial(FlowMatchEulerDiscreteScheduler, use_dynamic_shifting=True, shift=3.0),
    ),
}  # fmt: skip


def written(shape: Shape, folder: Path) -> Path:
    """The folder of a pipeline, in diffusers' format."""
    index: dict[str, Any] = {"_class_name": shape.kind}
    with torch.device("meta"):
        networks = {name: make() for name, make in shape.networks.items()}
    for name, network in networks.items():
        index[name] = [type(network).__module__.split(".")[0], type(network).__name__]
        if name.startswith("text_encoder"):
            network.config.save_pretrained(folder / name)  # type: ignore[union-attr, operator]
            tokenizer = _tokenizer(network, folder / name.replace("text_encoder", "tokenizer"))
            index[name.replace("text_encoder", "tokenizer")] = ["transformers", tokenizer]
            _hollow(network, folder / name / "model.safetensors")
        else:
            network.save_config(folder / name)  # type: ignore[operator]
            _hollow(network, folder / name / "diffusion_pytorch_model.safetensors")
    scheduler = shape.scheduler()
    scheduler.save_pretrained(folder / "scheduler")
    index["scheduler"] = ["diffusers", type(scheduler).__name__]
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def _tokenizer(network: nn.Module, folder: Path) -> str:
    """One with words enough to be one; its kind. Lengths and vocabularies are the text encoder's."""
    if isinstance(network, T5EncoderModel):
        first = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
        words = T5Tokenizer(vocab=[*first, ("▁a", -1.0)], extra_ids=0)
    else:
        words = CLIPTokenizer.from_pretrained(PACKAGE / "minnow/weights/minnow/tokenizer")
        words.model_max_length = 77
    words.save_pretrained(folder)
    return type(words).__name__


def _hollow(network: nn.Module, file: Path) -> None:
    """A file of safetensors: the length of its header, the header, and nothing for the weights."""
    header, end, seen = {}, 0, set()
    for name, value in network.state_dict(keep_vars=True).items():
        if id(value) in seen:  # tied to another
            continue
        seen.add(id(value))
        begin, end = end, end + 2 * math.prod(value.shape)
        header[name] = {"dtype": "BF16", "shape": list(value.shape), "data_offsets": [begin, end]}
    told = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    with file.open("wb") as opened:
        opened.write(len(told).to_bytes(8, "little") + told)
        opened.truncate(8 + len(told) + end)
