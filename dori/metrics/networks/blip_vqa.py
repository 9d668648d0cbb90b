"""BLIP-VQA: how sure a network is that a picture shows something (T2I-CompBench, NeurIPS 2023)."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import BertTokenizer, BlipForQuestionAnswering

from dori.core.errors import InputError
from dori.core.tokenizing import tokenized
from dori.metrics.networks.clip import OPENAI_MEAN, OPENAI_STD
from dori.metrics.networks.images import check_images, normalized
from dori.metrics.networks.opened import opened

LONGEST = 35  # tokens of a question that BLIP reads
UNREAD = re.compile(r'[.!"()*#:;~]')  # BLIP's questions are in lower case, without these


class BlipVQA(nn.Module):
    """Images and questions to the probability of *yes* among *yes* and *no*, as the first word of an answer.

    Squashed to BLIP's square, bicubic, as in the published code. That looks at 480 x 480 pixels, and the
    conversion of its weights for transformers at 384 x 384.

    Args:
        path: folder of a transformers BlipForQuestionAnswering with its tokenizer, as safetensors.
        device: ``meta`` reads no weights: the folder is checked, and nothing can be asked.

    Raises:
        InputError: if there is no such folder, or it lacks the safetensors or the tokenizer.
    """

    def __init__(self, path: str | Path, device: str = "cpu") -> None:
        super().__init__()
        self.model, self.tokenizer = opened("BLIP", path, device, BlipForQuestionAnswering, BertTokenizer)
        self.model.eval().requires_grad_(False)
        self.size = cast(int, self.model.config.vision_config.image_size)
        words = self.tokenizer.convert_tokens_to_ids(["yes", "no"])
        if self.tokenizer.unk_token_id in words:
            raise InputError(f"{path} lacks its tokenizer: put vocab.txt, with the words yes and no, there")
        self.yes, self.no = words

    def train(self, mode: bool = True) -> "BlipVQA":
        """Stays in evaluation mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor, questions: Sequence[Sequence[str]]) -> Tensor:
        """The product over the questions of each image, (n,); 1 where there is none.

        Args:
            images: float (n, 3, h, w) in [0, 1].
            questions: of each image.

        Raises:
            ValueError: if ``images`` is not float (n, 3, h, w).
        """
        check_images(images)
        counts = [len(own) for own in questions]
        if not any(counts):
            return images.new_ones(len(images))
        square = F.interpolate(images, (self.size, self.size), mode="bicubic", antialias=True).clamp(0, 1)
        seen = self.model.vision_model(normalized(square, OPENAI_MEAN, OPENAI_STD)).last_hidden_state
        whose = [place for place, count in enumerate(counts) for _ in range(count)]
        sure = self._sure(seen[whose], [question for own in questions for question in own])
        return torch.stack([part.prod() for part in sure.split(counts)])

    def _sure(self, seen: Tensor, questions: list[str]) -> Tensor:
        """Of patches (m, patches, d), one row for each question: (m,)."""
        asked = tokenized(
            self.tokenizer, [as_asked(question) for question in questions], padding=True, truncation=True,
            max_length=LONGEST, return_tensors="pt",
        ).to(seen.device)  # fmt: skip
        begin = cast(int, self.model.config.text_config.bos_token_id)
        asked.input_ids[:, 0] = begin + 1  # BLIP's own token of encoding, behind that of decoding
        read = self.model.text_encoder(
            input_ids=asked.input_ids, attention_mask=asked.attention_mask, encoder_hidden_states=seen,
            encoder_attention_mask=seen.new_ones(seen.shape[:2]),
        ).last_hidden_state  # fmt: skip
        answered = self.model.text_decoder(
            input_ids=asked.input_ids.new_full((len(questions), 1), begin),
            encoder_hidden_states=read, encoder_attention_mask=asked.attention_mask,
        ).logits[:, 0].float()  # fmt: skip
        return torch.sigmoid(answered[:, self.yes] - answered[:, self.no])


def as_asked(question: str) -> str:
    """
    >>> as_asked("A red sign. ?")
    'a red sign ?'
    """
    return UNREAD.sub("", question.lower()).rstrip(" ")
