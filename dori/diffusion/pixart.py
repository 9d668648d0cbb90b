"""PixArt-Sigma (arXiv 2403.04692): a transformer that reads T5 by cross-attention, on DDPM's schedule."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar

from diffusers import AutoencoderKL, PixArtSigmaPipeline, PixArtTransformer2DModel
from torch import Tensor
from transformers import T5EncoderModel, T5Tokenizer

from dori.diffusion.checks.fit import check_channels, check_problems, check_width, settings, text_settings
from dori.diffusion.checks.schedule import scheduler_of
from dori.diffusion.components import Kinds
from dori.diffusion.conditioning import Rows
from dori.diffusion.family import Family
from dori.diffusion.layers import Choice
from dori.diffusion.schedules.ddim import Ddim
from dori.diffusion.texts import Reader, Texts
from dori.diffusion.transformers import expanded

TOKENS = 300  # of T5, as the pipeline has it


class PixArtSigma(Family):
    """Conditioning: T5's tokens; the padding, which the pipeline hides behind a mask, is rows of zeros.

    A row of zeros is not read, one with any value is: the mask is in the one tensor. So what pads a prompt
    gets no gradient. Prompts are written small first, as the pipeline does.
    """

    PATCH = 2
    values_read_text = False  # but what the network projects it to
    KINDS = Kinds(
        PixArtSigmaPipeline,
        {"transformer": PixArtTransformer2DModel, "vae": AutoencoderKL, "text_encoder": T5EncoderModel},
        {"tokenizer": T5Tokenizer},
    )
    # there are no halves as in a U-Net: NeMo's values are all of them; ours
    LAYERS: ClassVar[Mapping[str, Choice]] = {
        "feed_forward": lambda name: name.endswith("ff.net.2"),
        "values": lambda name: name.endswith("attn2.to_v"),
        "all_values": lambda name: name.endswith("attn2.to_v"),
    }

    def check_fit(self) -> None:
        transformer, latents = self.components.denoiser, self.components.vae["latent_channels"]
        found = settings(transformer)
        check_problems(transformer, _problems(found))
        gives = found["out_channels"] or found["in_channels"]
        # the second half, where there is one, is the variance, which DDIM does not ask for
        check_channels(
            found["in_channels"], gives // 2 if gives == 2 * latents else gives, latents, transformer
        )
        check_width("text", found["caption_channels"], self._text.d_model, transformer)

    @property
    def trained_size(self) -> tuple[int, int]:
        side = settings(self.components.denoiser)["sample_size"]
        return side, side

    @cached_property
    def schedule(self) -> Ddim:
        return Ddim(scheduler_of(self.folder))

    @property
    def replayable(self) -> list[str]:
        """The blocks."""
        names = (name for name, _ in self.skeleton.named_modules())
        return [name for name in names if name.rpartition(".")[0] == "transformer_blocks"]

    @cached_property
    def texts(self) -> Texts:
        length = self.text_tokens or TOKENS
        reader = Reader(self.folder / "tokenizer", T5Tokenizer, length, self._text.vocab_size)
        return Texts(self.name, (reader,), self.truncate_prompts)

    @cached_property
    def rows(self) -> Rows:
        return Rows(self.texts.length, self._text.d_model)

    def check_prompts(self, prompts: list[str], sources: list[str] | None = None) -> None:
        super().check_prompts(_small(prompts), sources)

    def cut(self, prompts: list[str]) -> int:
        return super().cut(_small(prompts))

    def content(self, prompts: list[str]) -> Tensor:
        return super().content(_small(prompts))

    def encoded(self, prompts: list[str]) -> Tensor:
        sequence, mask, _, _ = self.pipeline.encode_prompt(
            prompts, do_classifier_free_guidance=False, device=self.device,
            max_sequence_length=self.texts.length,
        )  # fmt: skip
        return sequence * mask[..., None]

    def called(self, z: Tensor, asked: Tensor, y: Tensor, guidance: float) -> Tensor:
        out = self.denoiser(
            hidden_states=z, encoder_hidden_states=y, encoder_attention_mask=(y != 0).any(-1),
            timestep=expanded(asked, z), added_cond_kwargs={"resolution": None, "aspect_ratio": None},
        ).sample  # fmt: skip
        return out[:, : z.shape[1]]

    @cached_property
    def _text(self) -> Any:
        return text_settings(self.components.parts["text_encoder"])


def _small(prompts: list[str]) -> list[str]:
    return [prompt.lower().strip() for prompt in prompts]


def _problems(transformer: dict[str, Any]) -> Iterator[str]:
    told = transformer["use_additional_conditions"]
    if told or (told is None and transformer["sample_size"] == 128):
        yield "use_additional_conditions is set, as in PixArt-Alpha: give a PixArt-Sigma"
