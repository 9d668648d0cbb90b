"""Stable Diffusion 3 and 3.5: a transformer that reads two CLIP encoders and T5, which may be missing."""

from functools import cached_property

from diffusers import AutoencoderKL, SD3Transformer2DModel, StableDiffusion3Pipeline
from torch import Tensor
from transformers import CLIPTextModelWithProjection, CLIPTokenizer, T5EncoderModel, T5Tokenizer

from dori.diffusion.checks.fit import check_channels, check_width, settings
from dori.diffusion.components import Kinds
from dori.diffusion.conditioning import Rows
from dori.diffusion.texts import Reader, Texts
from dori.diffusion.transformers import JointFamily, expanded

TOKENS = 256  # of T5, as the pipeline has it


class StableDiffusion3(JointFamily):
    """Conditioning: CLIP's tokens, both encoders side by side, then T5's, then both pooled vectors as a row.

    Without T5 its rows are zero, as the pipeline has them.
    """

    EVEN = False
    KINDS = Kinds(
        StableDiffusion3Pipeline,
        {
            "transformer": SD3Transformer2DModel, "vae": AutoencoderKL,
            "text_encoder": CLIPTextModelWithProjection, "text_encoder_2": CLIPTextModelWithProjection,
            "text_encoder_3": T5EncoderModel,
        },
        {"tokenizer": CLIPTokenizer, "tokenizer_2": CLIPTokenizer, "tokenizer_3": T5Tokenizer},
        alike=("StableDiffusion3Img2ImgPipeline",),
        optional=("text_encoder_3", "tokenizer_3"),
    )  # fmt: skip

    def check_fit(self) -> None:
        transformer, latents = self.components.denoiser, self.components.vae["latent_channels"]
        found = settings(transformer)
        check_channels(
            found["in_channels"], found["out_channels"] or found["in_channels"], latents, transformer
        )
        pooled = sum(self.text(name).projection_dim for name in ("text_encoder", "text_encoder_2"))
        check_width("a pooled vector", found["pooled_projection_dim"], pooled, transformer)
        if self._has_t5:
            width = self.text("text_encoder_3").d_model
            check_width("text", found["joint_attention_dim"], width, transformer)

    @property
    def trained_size(self) -> tuple[int, int]:
        side = settings(self.components.denoiser)["sample_size"]
        return side, side

    @property
    def _has_t5(self) -> bool:
        return "text_encoder_3" in self.components.parts

    @cached_property
    def texts(self) -> Texts:
        clip = [self.text(name) for name in ("text_encoder", "text_encoder_2")]
        readers = [
            Reader(self.folder / name, CLIPTokenizer, text.max_position_embeddings, text.vocab_size, whole)
            for name, text, whole in zip(("tokenizer", "tokenizer_2"), clip, (True, False), strict=True)
        ]
        length = self.text_tokens or TOKENS
        if self._has_t5:
            vocabulary = self.text("text_encoder_3").vocab_size
            readers.append(Reader(self.folder / "tokenizer_3", T5Tokenizer, length, vocabulary))
        absent = 0 if self._has_t5 else length
        return Texts(self.name, tuple(readers), self.truncate_prompts, absent)

    @cached_property
    def rows(self) -> Rows:
        found = settings(self.components.denoiser)
        return Rows(self.texts.length, found["joint_attention_dim"], found["pooled_projection_dim"])

    def encoded(self, prompts: list[str]) -> Tensor:
        clip = self.texts.readers[0].tokenizer.model_max_length
        sequence, _, pooled, _ = self.pipeline.encode_prompt(
            prompts, prompts, prompts, device=self.device, do_classifier_free_guidance=False,
            max_sequence_length=self.texts.length - clip,
        )  # fmt: skip
        return self.rows.pack(sequence, pooled)

    def called(self, z: Tensor, asked: Tensor, y: Tensor, guidance: float) -> Tensor:
        sequence, pooled = self.rows.unpack(y)
        return self.denoiser(
            hidden_states=z, timestep=expanded(asked, z), encoder_hidden_states=sequence,
            pooled_projections=pooled,
        ).sample  # fmt: skip
