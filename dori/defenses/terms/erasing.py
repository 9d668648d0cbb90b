"""Towards what the original model says without the prompt: terms like those of ``dori.defenses.terms.terms``.

Both work at the prompts' own embeddings: neither knows of an adversary.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dori.attacks.paraphrase import paraphrases
from dori.core.errors import check_positive, check_share
from dori.core.randomness import generator
from dori.defenses.terms.terms import Samples, Step, joined, noised, prompts_of
from dori.defenses.training.material import Material
from dori.diffusion import Diffusion


@dataclass(frozen=True)
class EsdTerm:
    """Erased Stable Diffusion (Gandikota et al., ICCV 2023): away from what the prompt used to add.

    At latents that the model as it is draws of the prompt, its prediction is drawn to the original model's
    unconditional one minus ``strength`` times the original's guidance direction.

    Args:
        pairs: draws per prompt and update.
        strength: eta of the paper, 1.
        guidance: with which the latents are drawn, 3 in the released code.
        weight: of its mean in the sum of the terms.
    """

    uses_surrogates: ClassVar[bool] = False
    pairs: int
    strength: float = 1.0
    guidance: float = 3.0
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_positive("defense.terms.esd.pairs", self.pairs)
        check_positive("defense.terms.esd.guidance", self.guidance)

    def samples(self, targets: int) -> int:
        """Of an update, for so many targets."""
        return targets * self.pairs

    @torch.no_grad()
    def draw(self, material: Material, step: Step) -> Samples:
        now, before = material.diffusion, material.original
        stream, steps = generator(step.seed, "esd", step.number), now.sampling_steps
        y = prompts_of(material, step).repeat_interleave(self.pairs, 0).to(now.device, now.dtype)
        z = torch.randn((len(y), *now.latent_shape), generator=stream).to(now.device, now.dtype)
        # all samples of an update stop at the same step, so that they share their calls
        stop = int(torch.randint(steps, (1,), generator=stream))
        walk = now.denoise(y, z, steps=steps, guidance=self.guidance)
        for _ in range(stop):
            z = next(walk)
        # any timestep of the sampler's stride, as in the released code
        t = now.schedule.draw(len(y), stream, now.schedule.stride(steps, stop, now.latent_shape))
        where = t.to(now.device)
        nothing, prompted = (before.predict(z, where, e) for e in (before.empty.expand_as(y), y))
        target = nothing - self.strength * (prompted - nothing)
        return {"z_t": z.cpu(), "y": y.cpu(), "t": t, "target": target.cpu()}

    def loss(self, diffusion: Diffusion, samples: Samples) -> Tensor:
        return imitated(diffusion, samples)


@dataclass(frozen=True)
class ConceptAblationTerm:
    """Concept Ablation, the model-based variant (Kumari et al., ICCV 2023), for memorized images.

    At noised anchor images the prediction for the prompt is drawn to the original model's for an anchor
    prompt. Anchor images are surrogates and anchor prompts paraphrases by rule, where the authors asked
    a language model for the prompts and drew the images from them.

    Args:
        pairs: draws per prompt and update.
        share: of the prompt's words that an anchor prompt lacks or has elsewhere.
        anchors: different anchor prompts of each prompt, 5 in the paper.
        weight: of its mean in the sum of the terms.
    """

    uses_surrogates: ClassVar[bool] = True
    pairs: int
    share: float = 0.5
    anchors: int = 5
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_positive("defense.terms.concept_ablation.pairs", self.pairs)
        check_positive("defense.terms.concept_ablation.anchors", self.anchors)
        check_share("defense.terms.concept_ablation.share", self.share)

    def samples(self, targets: int) -> int:
        """Of an update, for so many targets."""
        return targets * self.pairs

    @torch.no_grad()
    def draw(self, material: Material, step: Step) -> Samples:
        now, before, parts = material.diffusion, material.original, []
        for target, y in zip(step.targets, prompts_of(material, step), strict=True):
            stream = generator(step.seed, "concept ablation", target.name, step.number)
            z = material.some_surrogates(target, self.pairs, stream)
            own = generator(step.seed, "anchors", target.name)  # the same throughout the training
            texts = list(paraphrases(target.prompt, self.anchors, own, self.share)) or [""]
            which = torch.randint(len(texts), (self.pairs,), generator=stream).tolist()
            anchor = before.encode_prompts([texts[i] for i in which]).to(now.device, now.dtype)
            drawn = noised(material, step, target, z)
            t = drawn["t"].to(now.device)
            z_t = now.schedule.noised(z, drawn["noise"], drawn["t"]).to(now.device, now.dtype)
            parts.append({
                "z_t": z_t.cpu(), "y": y.expand(self.pairs, -1, -1), "t": drawn["t"],
                "target": before.predict(z_t, t, anchor).cpu(),
            })  # fmt: skip
        return joined(parts)

    def loss(self, diffusion: Diffusion, samples: Samples) -> Tensor:
        return imitated(diffusion, samples)


def imitated(diffusion: Diffusion, samples: Samples) -> Tensor:
    """Squared error per sample (n,) of the prediction against ``target``."""
    predicted = diffusion.predict(samples["z_t"], samples["t"], samples["y"])
    return (predicted - samples["target"]).float().square().mean((1, 2, 3))
