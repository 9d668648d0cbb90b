"""Stable Diffusion 1 and 2: a U-Net that reads one text encoder, epsilon or v-prediction."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from dori.diffusion.checks.fit import check_width, text_settings
from dori.diffusion.components import Kinds
from dori.diffusion.conditioning import Rows
from dori.diffusion.texts import Reader, Texts
from dori.diffusion.unets import UNetFamily
from dori.diffusion.words import Words

# what a U-Net is given besides latents, time and text; all of it is null in this family
CONDITIONS = ("class_embed_type", "num_class_embeds", "addition_embed_type", "time_cond_proj_dim")
UNUSED = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}


class StableDiffusion(UNetFamily):
    """Conditioning: the text encoder's last hidden states."""

    KINDS = Kinds(
        StableDiffusionPipeline,
        {"unet": UNet2DConditionModel, "vae": AutoencoderKL, "text_encoder": CLIPTextModel},
        {"tokenizer": CLIPTokenizer},
        # an inpainting U-Net has channels of its own, which are refused
        alike=("StableDiffusionImg2ImgPipeline", "StableDiffusionInpaintPipeline"),
        unused=UNUSED,
    )

    def problems(self, unet: dict[str, Any]) -> Iterator[str]:
        for key in CONDITIONS:
            if unet[key] is not None:
                yield (
                    f"{key} is {unet[key]!r}, so the U-Net wants more than text and time: give a plain Stable"
                    " Diffusion model"
                )
        if unet["encoder_hid_dim_type"] not in (None, "text_proj"):
            yield f"encoder_hid_dim_type is {unet['encoder_hid_dim_type']!r}: the U-Net wants more than text"

    def check_text(self, unet: dict[str, Any]) -> None:
        wanted = unet["encoder_hid_dim"] or unet["cross_attention_dim"]
        check_width("text", wanted, self._text.hidden_size, self.components.parts["unet"])

    @cached_property
    def skeleton(self) -> nn.Module:
        unet = self.components.skeleton
        nothing = dict.fromkeys(("vae", "text_encoder", "tokenizer", "scheduler"))
        # which puts right what the oldest folders say of their latents' size
        StableDiffusionPipeline(unet=unet, **nothing, **UNUSED)
        return unet

    @cached_property
    def texts(self) -> Texts:
        text = self._text
        folder = self.folder / "tokenizer"
        length, words = text.max_position_embeddings, self.new_tokens
        reader = Reader(folder, CLIPTokenizer, length, text.vocab_size, words=words)
        return Texts(self.name, (reader,), self.truncate_prompts)

    @cached_property
    def rows(self) -> Rows:
        return Rows(self.texts.length, self._text.hidden_size)

    def encoded(self, prompts: list[str]) -> Tensor:
        ids = self.texts.readers[0].ids(prompts)
        return self.pipeline.text_encoder(ids.to(self.device))[0]

    def called(self, z: Tensor, asked: Tensor, y: Tensor, guidance: float) -> Tensor:
        return self.denoiser(z, asked, y).sample

    @property
    def word_widths(self) -> dict[str, int]:
        return {"": self._text.hidden_size}

    def words(self, whom: str) -> Words:
        return Words(self)

    @cached_property
    def _text(self) -> Any:
        return text_settings(self.components.parts["text_encoder"])
