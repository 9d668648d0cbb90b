"""Words as a text encoder reads them, where one encoder makes the whole conditioning of its tokens."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import CLIPTokenizer

from dori.diffusion.loaded import Loaded


@dataclass(frozen=True)
class Words:
    """Loads the model at the first use."""

    model: Loaded

    @property
    def tokenizer(self) -> CLIPTokenizer:
        return self.model.texts.tokenizer

    @property
    def encoder(self) -> Any:
        """The text encoder, where the denoiser is: it stays there, for what goes on is differentiated."""
        return self.model.pipeline.text_encoder.to(self.model.device)

    def ids(self, prompts: list[str]) -> Tensor:
        """Token ids (n, tokens)."""
        return self.model.texts.readers[0].ids(prompts)

    def table(self) -> Tensor:
        """Token embeddings (vocabulary, width)."""
        return self.encoder.get_input_embeddings().weight.detach()

    def encode_ids(self, ids: Tensor) -> Tensor:
        """Conditionings (n, tokens, width) of token ids (n, tokens)."""
        return torch.cat([self.encoder(part)[0] for part in ids.split(256)])

    def encode(self, e: Tensor) -> Tensor:
        """Conditionings (n, tokens, width) of token embeddings, differentiable."""
        end = torch.full(e.shape[:2], self.tokenizer.eos_token_id, device=e.device)
        with _given(self.encoder.get_input_embeddings(), e):
            return self.encoder(end)[0]


@contextmanager
def _given(layer: nn.Module, output: Tensor) -> Iterator[None]:
    """The layer puts out ``output``, whatever goes in: text encoders take token ids alone."""
    hook = layer.register_forward_hook(lambda _layer, _inputs, _output: output)
    try:
        yield
    finally:
        hook.remove()
