"""FLUX.1 dev and schnell: a transformer that reads T5 and CLIP's pooled vector, and is told its guidance."""

from collections.abc import Mapping
from functools import cached_property
from typing import ClassVar

import torch
from diffusers import AutoencoderKL, FluxPipeline, FluxTransformer2DModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer, T5EncoderModel, T5Tokenizer

from dori.diffusion.checks.fit import check_channels, check_width, settings
from dori.diffusion.components import Kinds
from dori.diffusion.conditioning import Rows
from dori.diffusion.layers import Choice
from dori.diffusion.texts import Reader, Texts
from dori.diffusion.transformers import JointFamily, expanded

TOKENS = 512  # of T5, as the pipeline has it


class Flux(JointFamily):
    """Conditioning: T5's tokens, then CLIP's pooled vector as a row.

    Guidance was distilled into dev, which is told its scale, also in its loss; schnell knows none. In two
    halves it is guided where ``true_guidance`` says so. The network has latents in patches of 2 x 2.
    """

    EVEN = True
    GUIDED = True
    KINDS = Kinds(
        FluxPipeline,
        {
            "transformer": FluxTransformer2DModel, "vae": AutoencoderKL, "text_encoder": CLIPTextModel,
            "text_encoder_2": T5EncoderModel,
        },
        {"tokenizer": CLIPTokenizer, "tokenizer_2": T5Tokenizer},
        alike=("FluxImg2ImgPipeline",),
    )  # fmt: skip
    LAYERS: ClassVar[Mapping[str, Choice]] = {
        **JointFamily.LAYERS,
        # a single block's output layer is its attention's and its feed-forward's in one, see first_column
        "feed_forward": lambda name: (
            name.endswith(("ff.net.2", "ff_context.net.2"))
            or (name.startswith("single_transformer_blocks") and name.endswith("proj_out"))
        ),
    }

    def check_fit(self) -> None:
        transformer, latents = self.components.denoiser, self.components.vae["latent_channels"]
        found = settings(transformer)
        takes, gives = found["in_channels"], found["out_channels"] or found["in_channels"]
        check_channels(takes // 4, gives // 4, latents, transformer)
        check_width("text", found["joint_attention_dim"], self.text("text_encoder_2").d_model, transformer)
        pooled = self.text("text_encoder").hidden_size
        check_width("a pooled vector", found["pooled_projection_dim"], pooled, transformer)

    @property
    def trained_size(self) -> tuple[int, int]:
        return 128, 128

    def scale(self, guidance: float) -> float:
        return self.true_guidance

    @cached_property
    def texts(self) -> Texts:
        clip, t5 = self.text("text_encoder"), self.text("text_encoder_2")
        pooled = Reader(
            self.folder / "tokenizer",
            CLIPTokenizer,
            clip.max_position_embeddings,
            clip.vocab_size,
            whole=False,
        )
        length = self.text_tokens or TOKENS
        whole = Reader(self.folder / "tokenizer_2", T5Tokenizer, length, t5.vocab_size)
        return Texts(self.name, (pooled, whole), self.truncate_prompts)

    @cached_property
    def _guided(self) -> bool:
        """Whether the network is told its guidance."""
        return bool(settings(self.components.denoiser)["guidance_embeds"])

    @cached_property
    def rows(self) -> Rows:
        found = settings(self.components.denoiser)
        return Rows(self.texts.length, found["joint_attention_dim"], found["pooled_projection_dim"])

    def encoded(self, prompts: list[str]) -> Tensor:
        sequence, pooled, _ = self.pipeline.encode_prompt(
            prompts, prompts, device=self.device, max_sequence_length=self.texts.length
        )
        return self.rows.pack(sequence, pooled)

    def called(self, z: Tensor, asked: Tensor, y: Tensor, guidance: float) -> Tensor:
        sequence, pooled = self.rows.unpack(y)
        n, channels, height, width = z.shape
        told = torch.full((n,), guidance, device=z.device) if self._guided else None
        # the pipeline's own: patches, and where they and the text are
        packed = FluxPipeline._pack_latents(z, n, channels, height, width)
        places = FluxPipeline._prepare_latent_image_ids(n, height // 2, width // 2, z.device, z.dtype)
        out = self.denoiser(
            hidden_states=packed, timestep=expanded(asked, z).to(z.dtype) / 1000, guidance=told,
            pooled_projections=pooled, encoder_hidden_states=sequence, img_ids=places,
            txt_ids=torch.zeros(sequence.shape[1], 3, device=z.device, dtype=z.dtype),
        ).sample  # fmt: skip
        return FluxPipeline._unpack_latents(out, height, width, 1)

    def first_column(self, layer: str) -> int:
        if layer.startswith("single_transformer_blocks") and layer.endswith("proj_out"):
            return self.layers([layer], loaded=False)[layer].out_features
        return 0
