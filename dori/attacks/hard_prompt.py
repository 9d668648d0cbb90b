"""Hard prompts: words in place of embeddings, found by gradient; what the model is given is real text.

Greedy coordinate gradient (Zou et al., arXiv 2307.15043) on the denoising loss of the training image.
PEZ (Wen et al., arXiv 2302.03668), which rounds a continuous prompt to its nearest tokens, loses the
prompt that it starts from within DoRI's 50 steps; a swap that is kept only where the loss falls cannot.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

import torch
from torch import Tensor, nn
from transformers import CLIPTokenizer

from dori.attacks.solver import Callback, Constraint, Noise, Objective, Search, Solution, climb, evaluate
from dori.attacks.spaces import Problem, confined, latents_of
from dori.attacks.starts import Source
from dori.data import Target
from dori.diffusion import StableDiffusion
from dori.errors import InputError, check_positive


@lru_cache(maxsize=1)
def vocabulary(tokenizer: CLIPTokenizer) -> Tensor:
    """Ids (v,) of the tokens that are words: written with blanks between them, any of them are read
    as the same tokens again."""
    texts = [text_of(tokenizer, torch.tensor([i])) for i in range(len(tokenizer))]
    read = tokenizer(texts, add_special_tokens=False).input_ids
    return torch.tensor(
        [i for i, ids in enumerate(read) if ids == [i] and i not in tokenizer.all_special_ids]
    )


def text_of(tokenizer: CLIPTokenizer, ids: Tensor) -> str:
    """The words of a sequence (tokens,), without what only marks its start, end and padding."""
    words = [tokenizer.decode([i]).strip() for i in ids.tolist() if i not in tokenizer.all_special_ids]
    return " ".join(words)


@dataclass(frozen=True)
class GreedySwaps:
    """At each step, of ``candidates`` random swaps of one token for one of the ``top`` that the
    gradient likes best at its place, keeps the one with the lowest loss, if lower than without."""

    candidates: int
    top: int
    gradients: int = field(default=1, init=False)

    @property
    def forwards(self) -> int:
        return self.candidates

    def __call__(
        self, diffusion: StableDiffusion, latents: Tensor, start: Tensor, noise: Noise, *, steps: int,
        objective: Objective, constraint: Constraint, batch: int, callback: Callback | None,
        streams: list[torch.Generator],
    ) -> Solution:  # fmt: skip
        """``start``: token embeddings (n, tokens, width); those that ``constraint`` keeps are not swapped."""
        words = _table(diffusion).to(start)[vocabulary(diffusion.tokenizer)]
        free = (constraint(start + 1, start) != start).any(-1).cpu()
        many = self.candidates

        def swapped(e: Tensor, gradient: Tensor) -> Tensor:
            """(n, candidates, tokens, width)"""
            tried = e[:, None].repeat(1, many, 1, 1)
            # to first order the loss changes by gradient . (word - token); the token is its place's own
            best = (-gradient @ words.T).topk(min(self.top, len(words)), dim=-1).indices.cpu()
            for row, stream in enumerate(streams):
                open_ = free[row].nonzero()[:, 0]
                places = open_[torch.randint(len(open_), (many,), generator=stream)]
                picks = torch.randint(best.shape[-1], (many,), generator=stream)
                tried[row, torch.arange(many), places] = words[best[row, places, picks]]
            return tried

        def step_of(step: int, e: Tensor, active: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            nonlocal batch
            eps, t = noise(step)
            point = e.clone().requires_grad_(True)
            with torch.enable_grad():
                loss, batch = evaluate(diffusion, latents, point, (eps, t), active, objective, batch)
            assert point.grad is not None
            good = torch.isfinite(loss) & torch.isfinite(point.grad).flatten(1).all(1).cpu()
            tried = swapped(e, point.grad)
            each = [value.repeat_interleave(many, 0) for value in (latents, eps, t, active & good)]
            losses, batch = evaluate(
                diffusion, each[0], tried.flatten(0, 1), (each[1], each[2]), each[3], objective, batch
            )
            lowest, which = losses.view(-1, many).nan_to_num(torch.inf).min(1)
            moved, lower = e.clone(), lowest < loss
            moved[lower] = tried[torch.arange(len(e)), which.to(e.device)][lower]
            return moved, loss, good

        with torch.no_grad():
            found = climb(diffusion, start.clone(), steps, step_of, callback)
        return Solution(*found, batch)


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
        words, table = vocabulary(diffusion.tokenizer), _table(diffusion)
        ids = torch.cat([self._ids(diffusion, words, source) for source in sources]).to(table.device)
        special = torch.tensor(diffusion.tokenizer.all_special_ids, device=ids.device)
        allowed = ~torch.isin(ids, special)

        def of_tokens(model: StableDiffusion, z: Tensor, e: Tensor, eps: Tensor, t: Tensor) -> Tensor:
            return objective(model, z, _encode(model, e), eps, t)

        def trigger(e: Tensor, who: Tensor) -> dict[str, Tensor]:
            found = torch.cdist(e.flatten(0, 1).to(table), table).argmin(1).view(e.shape[:2])
            y = torch.cat([diffusion.pipeline.text_encoder(part)[0] for part in found.split(256)])
            return {"embeddings": y.float(), "tokens": found}

        return Problem(
            table[ids].float(), latents_of(diffusion, targets), of_tokens, confined(allowed[..., None]),
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
        ids, table = diffusion.tokenize([source]), _table(diffusion)
        pieces = ~torch.isin(ids, torch.cat([words, torch.tensor(diffusion.tokenizer.all_special_ids)]))
        nearest = torch.cdist(table[ids[pieces]].float(), table[words].float()).argmin(1)
        ids[pieces] = words[nearest.cpu()]
        return ids


def _table(diffusion: StableDiffusion) -> Tensor:
    """Token embeddings (vocabulary, width)."""
    return diffusion.pipeline.text_encoder.get_input_embeddings().weight.detach()


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
