"""Hard prompts: words in place of embeddings, found by gradient; what the model is given is real text.

Greedy coordinate gradient (Zou et al., arXiv 2307.15043) on the denoising loss of the training image.
Chosen over PEZ (Wen et al., arXiv 2302.03668), which rounds a continuous prompt to its nearest tokens:
in a few trials on minnow that lost the prompt it started from; a swap kept only where the loss falls cannot.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from dori.attacks.climb import Objective, Search
from dori.attacks.constraints import Movable
from dori.attacks.greedy_swaps import GreedySwaps
from dori.attacks.spaces.embeddings import Problem, confined, latents_of
from dori.attacks.starts import Source
from dori.attacks.words import text_of, vocabulary
from dori.core.errors import InputError, check_positive
from dori.data import Target
from dori.diffusion import Diffusion
from dori.diffusion.words import Words

WHO = "attack=hard_prompt"


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
    hooks: bool = field(default=True, init=False)  # see _given

    def __post_init__(self) -> None:
        for key in ("candidates", "top", "length"):
            check_positive(f"attack.space.{key}", getattr(self, key))

    def samples(self, diffusion: Diffusion) -> int:
        return 1

    @property
    def search(self) -> Search:
        return GreedySwaps(self.candidates, self.top)

    def check(self, diffusion: Diffusion, sources: list[Source], movable: Movable, ball: bool) -> None:
        """Raises InputError: a choice of rows, a ball, a start without any word; several text encoders."""
        diffusion.words(WHO)
        if not movable.everything or ball:
            raise InputError(
                "hard prompts swap whole words: set attack.tokens=all, attack.rows=all and"
                " attack/constraint=none"
            )
        if "" in sources:
            raise InputError("a hard prompt has as many words as its start: attack/start=empty has none")

    def problem(
        self, diffusion: Diffusion, targets: list[Target], sources: list[Source],
        objective: Objective, movable: Movable,
    ) -> Problem:  # fmt: skip
        words = diffusion.words(WHO)
        known, tokenizer = words.table(), words.tokenizer
        ids = torch.cat([self._ids(words, source) for source in sources]).to(known.device)
        special = torch.tensor(tokenizer.all_special_ids, device=ids.device)
        allowed = ~torch.isin(ids, special)

        def of_tokens(model: Diffusion, z: Tensor, e: Tensor, eps: Tensor, t: Tensor) -> Tensor:
            return objective(model, z, words.encode(e), eps, t)

        def trigger(e: Tensor, who: Tensor) -> dict[str, Tensor]:
            found = torch.cdist(e.flatten(0, 1).to(known.device).float(), known.float()).argmin(1)
            found = found.view(e.shape[:2])
            return {"embeddings": words.encode_ids(found).float(), "tokens": found}

        return Problem(
            known[ids].float(), latents_of(diffusion, targets), of_tokens, confined(allowed[..., None]),
            torch.no_grad()(trigger),
        )  # fmt: skip

    def _ids(self, words: Words, source: Source) -> Tensor:
        """(1, tokens): of a text, its pieces of words replaced by the nearest words; of a generator,
        random words."""
        tokenizer, table = words.tokenizer, words.table()
        known = vocabulary(tokenizer)
        if not isinstance(source, str):
            source = " ".join(
                text_of(tokenizer, known[i : i + 1])
                for i in torch.randint(len(known), (self.length,), generator=source)
            )
        ids = words.ids([source])
        pieces = ~torch.isin(ids, torch.cat([known, torch.tensor(tokenizer.all_special_ids)]))
        nearest = torch.cdist(table[ids[pieces]].float(), table[known].float()).argmin(1)
        ids[pieces] = known[nearest.cpu()]
        return ids
