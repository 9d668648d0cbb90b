"""Mitigations at inference: the weights stay, the prompt or the sampler changes.

Whoever hands over an embedding meets those that act on embeddings or within the sampler, not those that
act on words. An attack that optimises embeddings does not know of any: it is the model's loss that it sees.
"""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dori.attacks.words import vocabulary
from dori.core.errors import check_positive
from dori.core.randomness import generator
from dori.data import Data
from dori.diffusion import Diffusion


@dataclass(frozen=True)
class Unguarded:
    """Leaves all as it is: what each mitigation changes is one of these."""

    name: str

    @property
    def samples(self) -> int:
        return 0

    def check(self, diffusion: Diffusion, data: Data) -> None:
        """Every model will do."""

    def texts(self, diffusion: Diffusion, prompts: list[str]) -> list[str]:
        return prompts

    def embeddings(self, diffusion: Diffusion, y: Tensor, z: Tensor) -> Tensor:
        return y

    def sampling(self, diffusion: Diffusion) -> AbstractContextManager[None]:
        return nullcontext()


@dataclass(frozen=True)
class RandomTokens(Unguarded):
    """Random words of the vocabulary at random places of the prompt (Somepalli et al., NeurIPS 2023).

    Args:
        count: words per prompt; 4 in the paper. A prompt has the same ones for all of its images.
    """

    count: int = 4
    seed: int = 0

    def __post_init__(self) -> None:
        check_positive("defense.count", self.count)

    def texts(self, diffusion: Diffusion, prompts: list[str]) -> list[str]:
        known = vocabulary(diffusion.tokenizer)
        found = []
        for prompt in prompts:
            stream, words = generator(self.seed, "random tokens", prompt), prompt.split()
            for _ in range(self.count):
                word = known[torch.randint(len(known), (1,), generator=stream)]
                place = int(torch.randint(len(words) + 1, (1,), generator=stream))
                words.insert(place, diffusion.tokenizer.decode(word).strip())
            found.append(" ".join(words))
        return found


@dataclass(frozen=True)
class EmbeddingAdjustment(Unguarded):
    """Lowers the text-conditional noise at the first step (Wen et al., ICLR 2024, section 4.2).

    Adam on the embedding, sample by sample, until the norm of what the embedding adds to the prediction
    is at most ``target``: memorized prompts add far more than others.

    Args:
        target: of the norm over the square root of the latent's size, so that models compare; 3 / 128 in
            the paper, for SD 1.4's 16,384 values.
        steps: at most, 10 in the paper.
        lr: 0.05 in the paper.
    """

    target: float = 3 / 128
    steps: int = 10
    lr: float = 0.05

    def __post_init__(self) -> None:
        for key in ("target", "steps", "lr"):
            check_positive(f"defense.{key}", getattr(self, key))

    @property
    def samples(self) -> int:
        return self.steps + 1  # and one without an embedding

    def embeddings(self, diffusion: Diffusion, y: Tensor, z: Tensor) -> Tensor:
        first = diffusion.schedule.first(diffusion.sampling_steps, diffusion.latent_shape)
        t = torch.full((len(z),), first, device=z.device)
        with torch.no_grad():
            nothing = diffusion.predict(z, t, diffusion.empty.expand_as(y))
        y = y.detach().float().clone().requires_grad_(True)
        optimizer = torch.optim.Adam([y], lr=self.lr)
        waiting = torch.ones(len(y), dtype=torch.bool, device=y.device)
        with torch.enable_grad():
            for _ in range(self.steps):
                optimizer.zero_grad()
                added = diffusion.predict(z, t, y.to(z.dtype)) - nothing
                size = added.float().flatten(1).norm(dim=1) / math.sqrt(added[0].numel())
                waiting = waiting & (size.detach() > self.target)
                if not waiting.any():
                    break
                size.sum().backward()
                before = y.detach().clone()
                optimizer.step()
                with torch.no_grad():  # Adam goes on moving what has arrived
                    y[~waiting] = before[~waiting]
        return y.detach().to(z.dtype)


@dataclass(frozen=True)
class BosAttention(Unguarded):
    """Cross-attention to the beginning-of-text token, its logits times ``scale`` (Ren et al., ECCV 2024).

    That token says nothing of the prompt; memorized prompts draw attention away from it.

    Args:
        scale: 1.25 in the paper.
    """

    scale: float = 1.25

    def __post_init__(self) -> None:
        check_positive("defense.scale", self.scale)

    def check(self, diffusion: Diffusion, data: Data) -> None:
        """Raises InputError where there is no cross-attention."""
        diffusion.layers("text_keys", loaded=False)

    @contextmanager
    def sampling(self, diffusion: Diffusion) -> Iterator[None]:
        def rescale(_module: nn.Module, _inputs: tuple, keys: Tensor) -> Tensor:
            # a logit is a product with the key
            return torch.cat([keys[:, :1] * self.scale, keys[:, 1:]], 1)

        hooks = [layer.register_forward_hook(rescale) for layer in diffusion.layers("text_keys").values()]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()
