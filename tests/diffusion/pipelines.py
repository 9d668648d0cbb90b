"""Tiny random pipelines of the other families, written by diffusers itself."""

from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DiffusionPipeline,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionXLPipeline,
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

from tests import tiny

WIDTH, LATENTS, T5_TOKENS = 16, 4, 12
NARROW, WIDE = 8, 24  # XL's text encoders, side by side as wide as its U-Net reads


def clip(kind: type, width: int, tokens: CLIPTokenizer) -> nn.Module:
    config = CLIPTextConfig(
        vocab_size=len(tokens), hidden_size=width, intermediate_size=2 * width, num_hidden_layers=2,
        num_attention_heads=2, max_position_embeddings=tiny.TOKENS, projection_dim=width,
        bos_token_id=tokens.bos_token_id, eos_token_id=tokens.eos_token_id, pad_token_id=tokens.pad_token_id,
    )  # fmt: skip
    return kind(config)


def t5(width: int) -> tuple[T5EncoderModel, T5Tokenizer]:
    words = [*"a on".split(), *tiny.COLORS, *tiny.THINGS, *tiny.PLACES]
    first = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    tokenizer = T5Tokenizer(vocab=[*first, *((f"▁{word}", -1.0) for word in words)], extra_ids=0)
    config = T5Config(
        vocab_size=len(tokenizer), d_model=width, d_kv=8, d_ff=2 * width, num_layers=2, num_heads=2
    )
    return T5EncoderModel(config), tokenizer


def vae(shift: float | None) -> AutoencoderKL:
    """Two downsamplings, as in ``tiny``."""
    found = AutoencoderKL(
        block_out_channels=(8, 16, 16), down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3, latent_channels=LATENTS, norm_num_groups=4,
        sample_size=tiny.SIDE, scaling_factor=0.5, shift_factor=shift,
        use_quant_conv=shift is None, use_post_quant_conv=shift is None,
    )  # fmt: skip
    with torch.no_grad():
        found.decoder.conv_out.weight.mul_(4)  # else everything that it draws is grey
    return found


def stable_diffusion_xl(zeros: bool = True) -> DiffusionPipeline:
    unet = UNet2DConditionModel(
        sample_size=8, in_channels=LATENTS, out_channels=LATENTS, block_out_channels=(16, 32),
        layers_per_block=1, cross_attention_dim=NARROW + WIDE, attention_head_dim=2, norm_num_groups=8,
        use_linear_projection=True, down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"), transformer_layers_per_block=(1, 2),
        addition_embed_type="text_time", addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=WIDE + 6 * 8,
    )  # fmt: skip
    tokens = tiny.words()
    return StableDiffusionXLPipeline(
        vae=vae(None), unet=unet, tokenizer=tokens, tokenizer_2=tiny.words(),
        text_encoder=clip(CLIPTextModel, NARROW, tokens),
        text_encoder_2=clip(CLIPTextModelWithProjection, WIDE, tokens),
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1,
            timestep_spacing="leading",
        ),
        force_zeros_for_empty_prompt=zeros,
    )  # fmt: skip


def stable_diffusion_3(t5_too: bool = True) -> DiffusionPipeline:
    transformer = SD3Transformer2DModel(
        sample_size=8, patch_size=2, in_channels=LATENTS, out_channels=LATENTS, num_layers=3,
        attention_head_dim=8, num_attention_heads=2, joint_attention_dim=2 * WIDTH,
        caption_projection_dim=16, pooled_projection_dim=WIDTH, pos_embed_max_size=12,
        dual_attention_layers=(0,), qk_norm="rms_norm",
    )  # fmt: skip
    tokens = tiny.words()
    encoder, tokenizer = t5(2 * WIDTH) if t5_too else (None, None)
    return StableDiffusion3Pipeline(
        transformer=transformer, vae=vae(0.1), tokenizer=tokens, tokenizer_2=tiny.words(),
        text_encoder=clip(CLIPTextModelWithProjection, WIDTH // 2, tokens),
        text_encoder_2=clip(CLIPTextModelWithProjection, WIDTH // 2, tokens),
        text_encoder_3=encoder, tokenizer_3=tokenizer, scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )  # fmt: skip


def flux(guided: bool = True) -> DiffusionPipeline:
    transformer = FluxTransformer2DModel(
        in_channels=4 * LATENTS, num_layers=2, num_single_layers=2, attention_head_dim=8,
        num_attention_heads=2, joint_attention_dim=2 * WIDTH, pooled_projection_dim=WIDTH,
        guidance_embeds=guided, axes_dims_rope=(2, 2, 4),
    )  # fmt: skip
    tokens = tiny.words()
    encoder, tokenizer = t5(2 * WIDTH)
    return FluxPipeline(
        transformer=transformer, vae=vae(0.1), tokenizer=tokens,
        text_encoder=clip(CLIPTextModel, WIDTH, tokens), text_encoder_2=encoder, tokenizer_2=tokenizer,
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True, shift=3.0),
    )  # fmt: skip


def pixart() -> DiffusionPipeline:
    """With a variance beside the noise, as published."""
    transformer = PixArtTransformer2DModel(
        num_attention_heads=2, attention_head_dim=8, in_channels=LATENTS, out_channels=2 * LATENTS,
        num_layers=2, cross_attention_dim=16, sample_size=8, caption_channels=2 * WIDTH,
        use_additional_conditions=False,
    )  # fmt: skip
    encoder, tokenizer = t5(2 * WIDTH)
    return PixArtSigmaPipeline(
        transformer=transformer, vae=vae(None), text_encoder=encoder, tokenizer=tokenizer,
        scheduler=DPMSolverMultistepScheduler(beta_schedule="linear"),
    )  # fmt: skip


FAMILIES = {
    "xl": stable_diffusion_xl,
    "xl, empty prompt": lambda: stable_diffusion_xl(zeros=False),
    "sd3": stable_diffusion_3,
    "sd3 without T5": lambda: stable_diffusion_3(t5_too=False),
    "flux": flux,
    "flux schnell": lambda: flux(guided=False),
    "pixart": pixart,
}


def saved(family: str, folder: Path) -> Path:
    torch.manual_seed(0)
    FAMILIES[family]().save_pretrained(folder, safe_serialization=True)
    return folder
