"""Hard prompts: words in place of embeddings, found by gradient; what the model is given is real text.

Greedy coordinate gradient (Zou et al., arXiv 2307.15043) on the denoising loss of the training image.
Chosen over PEZ (Wen et al., arXiv 2302.03668), which rounds a continuous prompt to its nearest tokens:
in a few trials on minnow that lost the prompt it started from; a swap kept only where the loss falls cannot.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from dori.attacks.climb import Objective, Search
from dori.attacks.greedy_swaps import GreedySwaps
from dori.attacks.spaces.embeddings import Problem, confined, latents_of
from dori.attacks.starts import Source
from dori.attacks.words import table, text_of, vocabulary
from dori.core.errors import InputError, check_positive
from dori.data import Target
from dori.diffusion import StableDiffusion


@dataclass(frozen=True)
class HardPrompt:
    """The words of a prompt, as many as its start has; a Gaussian start is random words.

    Args:
        candidates: swaps tried at each step, each on all of its pairs.
        top: tokens that a place may get, the best of the vocabulary to first order.
        length: words of a random start.
    """

    candidates: int = 8
    top: int = 64
    length: int = 16
    samples: int = field(default=1, init=False)
    hooks: bool = field(default=True, init=False)  # see _given

    def __post_init__(self) -> None:
        for key in ("candidates", "top", "length"):
            check_positive(f"attack.space.{key}", getattr(self, key))

    @property
    def search(self) -> Search:
        return GreedySwaps(self.candidates, self.top)

    def check(self, sources: list[Source], tokens: str, ball: bool) -> None:
        """Raises InputError: a choice of tokens, a ball, or a start without any word."""
        if tokens != "all" or ball:
            raise InputError(
                "hard prompts swap whole words: set attack.tokens=all and attack/constraint=none"
            )
        if "" in sources:
            raise InputError("a hard prompt has as many words as its start: attack/start=empty has none")

    def problem(
        self, diffusion: StableDiffusion, targets: list[Target], sources: list[Source],
        objective: Objective, tokens: str,
    ) -> Problem:  # fmt: skip
        words, known = vocabulary(diffusion.tokenizer), table(diffusion)
        ids = torch.cat([self._ids(diffusion, words, source) for source in sources]).to(known.device)
        special = torch.tensor(diffusion.tokenizer.all_special_ids, device=ids.device)
        allowed = ~torch.isin(ids, special)

        def of_tokens(model: StableDiffusion, z: Tensor, e: Tensor, eps: Tensor, t: Tensor) -> Tensor:
            return objective(model, z, _encode(model, e), eps, t)

        def trigger(e: Tensor, who: Tensor) -> dict[str, Tensor]:
            found = torch.cdist(e.flatten(0, 1).to(known.device).float(), known.float()).argmin(1)
            found = found.view(e.shape[:2])
            y = torch.cat([diffusion.pipeline.text_encoder(part)[0] for part in found.split(256)])
            return {"embeddings": y.float(), "tokens": found}

        return Problem(
            known[ids].float(), latents_of(diffusion, targets), of_tokens, confined(allowed[..., None]),
            torch.no_grad()(trigger),
        )  # fmt: skip

    def _ids(self, diffusion: StableDiffusion, words: Tensor, source: Source) -> Tensor:
        """(1, tokens): of a text, its pieces of words replaced by the nearest words; of a generator,
        random words."""
        if not isinstance(source, str):
            source = " ".join(
                text_of(diffusion.tokenizer, words[i : i + 1])
                for i in torch.randint(len(words), (self.length,), generator=source)
            )
        ids, known = diffusion.tokenize([source]), table(diffusion)
        pieces = ~torch.isin(ids, torch.cat([words, torch.tensor(diffusion.tokenizer.all_special_ids)]))
        nearest = torch.cdist(known[ids[pieces]].float(), known[words].float()).argmin(1)
        ids[pieces] = words[nearest.cpu()]
        return ids


def _encode(diffusion: StableDiffusion, e: Tensor) -> Tensor:
    """Text embeddings (n, tokens, width) of token embeddings, differentiable."""
    encoder = diffusion.pipeline.text_encoder
    end = torch.full(e.shape[:2], diffusion.tokenizer.eos_token_id, device=e.device)
    with _given(encoder.get_input_embeddings(), e):
        return encoder(end)[0]


@contextmanager
def _given(layer: nn.Module, output: Tensor) -> Iterator[None]:
    """The layer puts out ``output``, whatever goes in: text encoders take token ids alone."""
    hook = layer.register_forward_hook(lambda _layer, _inputs, _output: output)
    try:
        yield
    finally:
        hook.remove()
