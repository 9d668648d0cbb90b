"""Stable Diffusion XL: a U-Net that reads two text encoders, and the second one's pooled vector."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import torch
from diffusers import AutoencoderKL, StableDiffusionXLPipeline, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from dori.core.errors import InputError
from dori.diffusion.checks.fit import check_width, text_settings
from dori.diffusion.components import Kinds
from dori.diffusion.conditioning import Rows
from dori.diffusion.texts import Reader, Texts
from dori.diffusion.unets import UNetFamily


class StableDiffusionXL(UNetFamily):
    """Conditioning: both encoders' hidden states but one, side by side, and a pooled row.

    The half of guidance that knows no prompt is zero where ``force_zeros_for_empty_prompt`` says so, as in
    the published model. The U-Net is told the size of the picture, uncropped (time ids).
    """

    KINDS = Kinds(
        StableDiffusionXLPipeline,
        {
            "unet": UNet2DConditionModel, "vae": AutoencoderKL, "text_encoder": CLIPTextModel,
            "text_encoder_2": CLIPTextModelWithProjection,
        },
        {"tokenizer": CLIPTokenizer, "tokenizer_2": CLIPTokenizer},
        alike=("StableDiffusionXLImg2ImgPipeline", "StableDiffusionXLInpaintPipeline"),
        index=("force_zeros_for_empty_prompt",),
    )  # fmt: skip

    def check_fit(self) -> None:
        if self.components.index.get("requires_aesthetics_score"):
            raise InputError(
                f"{self.folder} is the refiner, which finishes what another model began: give the base model"
            )
        super().check_fit()

    def problems(self, unet: dict[str, Any]) -> Iterator[str]:
        if unet["addition_embed_type"] != "text_time":
            yield f"addition_embed_type is {unet['addition_embed_type']!r}, where XL has 'text_time'"
        for key in ("class_embed_type", "num_class_embeds", "time_cond_proj_dim", "encoder_hid_dim_type"):
            if unet[key] is not None:
                yield f"{key} is {unet[key]!r}, so the U-Net wants more than XL's has: give a plain XL model"

    def check_text(self, unet: dict[str, Any]) -> None:
        part = self.components.parts["unet"]
        first, second = self._texts
        check_width("text", unet["cross_attention_dim"], first.hidden_size + second.hidden_size, part)
        pooled = unet["projection_class_embeddings_input_dim"] - 6 * unet["addition_time_embed_dim"]
        check_width("a pooled vector", pooled, second.projection_dim, part)

    @property
    def dtypes(self) -> dict[str, torch.dtype]:
        found = super().dtypes
        if self.stored_dtype == torch.float16 and self.components.vae["force_upcast"]:
            found["vae"] = torch.float32  # in half precision it draws black
        return found

    @cached_property
    def texts(self) -> Texts:
        def reader(name: str, text: Any, whole: bool) -> Reader:
            length, folder = text.max_position_embeddings, self.folder / name
            return Reader(folder, CLIPTokenizer, length, text.vocab_size, whole, self.new_tokens)

        first, second = self._texts
        readers = reader("tokenizer", first, True), reader("tokenizer_2", second, False)
        return Texts(self.name, readers, self.truncate_prompts)

    @cached_property
    def rows(self) -> Rows:
        first, second = self._texts
        return Rows(self.texts.length, first.hidden_size + second.hidden_size, second.projection_dim)

    def encoded(self, prompts: list[str]) -> Tensor:
        sequence, _, pooled, _ = self.pipeline.encode_prompt(
            prompts, device=self.device, do_classifier_free_guidance=False
        )
        return self.rows.pack(sequence, pooled)

    @cached_property
    def unconditional(self) -> Tensor:
        found = self.encode_prompts([""])
        zero = self.components.index.get("force_zeros_for_empty_prompt", True)
        return torch.zeros_like(found) if zero else found

    def called(self, z: Tensor, asked: Tensor, y: Tensor, guidance: float) -> Tensor:
        sequence, pooled = self.rows.unpack(y)
        width, height = self.size
        ids = torch.tensor([height, width, 0, 0, height, width], device=z.device, dtype=z.dtype)
        added = {"text_embeds": pooled, "time_ids": ids.expand(len(z), -1)}
        return self.denoiser(z, asked, sequence, added_cond_kwargs=added).sample

    @property
    def word_widths(self) -> dict[str, int]:
        first, second = self._texts
        return {"": first.hidden_size, "_2": second.hidden_size}

    @cached_property
    def _texts(self) -> tuple[Any, Any]:
        parts = self.components.parts
        return text_settings(parts["text_encoder"]), text_settings(parts["text_encoder_2"])
