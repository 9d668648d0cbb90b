"""What other methods minimise, as terms like those of ``dori.defenses.terms``.

Each works on the prompts' own embeddings: none of them knows of an adversary.
"""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from dori.attacks.paraphrase import paraphrases
from dori.data import Target
from dori.defenses.material import Material
from dori.defenses.terms import Samples, Step, joined
from dori.diffusion import StableDiffusion
from dori.errors import InputError, check_positive, check_share
from dori.randomness import generator


@dataclass(frozen=True)
class AscentTerm:
    """Gradient ascent: the denoising loss on the memorized images at their prompts, made larger.

    Args:
        pairs: (noise, timestep) draws per image.
        most: above this a sample's loss is not raised any more; keeps the sum bounded. Ours.
    """

    uses_surrogates: ClassVar[bool] = False
    pairs: int
    most: float = 1.0
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_positive("defense.terms.ascent.pairs", self.pairs)
        check_positive("defense.terms.ascent.most", self.most)

    def draw(self, material: Material, step: Step) -> Samples:
        parts = []
        for target, y in zip(step.targets, prompts_of(material, step), strict=True):
            z = material.originals[target.name].expand(self.pairs, -1, -1, -1)
            parts.append({"z": z, "y": y.expand(self.pairs, -1, -1), **noised(material, step, target, z)})
        return joined(parts)

    def loss(self, diffusion: StableDiffusion, samples: Samples) -> Tensor:
        return -diffusion.training_loss(**samples).clamp(max=self.most)


@dataclass(frozen=True)
class SissTerm:
    """Importance-weighted score subtraction (SISS; Alberti et al., ICLR 2025), equation for 0 < mixture < 1.

    Noised latents come from a mixture around a memorized image a and an image x to keep, here a
    surrogate of the same prompt: the loss towards x minus ``forget`` times that towards a, each weighted
    by its likelihood over the mixture's.

    Args:
        pairs: (noise, timestep) draws per image.
        mixture: the share drawn around the memorized image; lambda, 0.5 in the paper.
        forget: (1 + s) k / (n - k) of the paper, where s follows from gradients' norms; a constant here.
    """

    uses_surrogates: ClassVar[bool] = True
    pairs: int
    mixture: float = 0.5
    forget: float = 0.1
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_positive("defense.terms.siss.pairs", self.pairs)
        if not 0 < self.mixture < 1:
            raise InputError(f"defense.terms.siss.mixture must lie between 0 and 1, but is {self.mixture}")

    def draw(self, material: Material, step: Step) -> Samples:
        parts = []
        for target, y in zip(step.targets, prompts_of(material, step), strict=True):
            stream = generator(step.seed, "siss", target.name, step.number)
            x = material.some_surrogates(target, self.pairs, stream)
            a = material.originals[target.name].expand_as(x)
            forgotten = torch.rand(self.pairs, generator=stream) < self.mixture
            parts.append({
                "x": x, "a": a, "z": a.where(forgotten[:, None, None, None], x),
                "y": y.expand(self.pairs, -1, -1), **noised(material, step, target, x),
            })  # fmt: skip
        return joined(parts)

    def loss(self, diffusion: StableDiffusion, samples: Samples) -> Tensor:
        x, a, z, y, noise, t = (samples[key] for key in ("x", "a", "z", "y", "noise", "t"))
        signal = diffusion.scheduler.alphas_cumprod.to(z)[t].view(-1, 1, 1, 1)
        z_t = diffusion.scheduler.add_noise(z, noise, t)
        predicted = diffusion.predict_noise(z_t, t, y)
        towards = [(z_t - signal.sqrt() * each) / (1 - signal).sqrt() for each in (x, a)]
        likelihood = torch.stack([-0.5 * each.float().square().sum((1, 2, 3)) for each in towards])
        share = likelihood.new_tensor([1 - self.mixture, self.mixture])[:, None]
        ratio = (likelihood - (likelihood + share.log()).logsumexp(0)).exp()
        keep, forget = (
            each * (predicted - to).float().square().mean((1, 2, 3))
            for each, to in zip(ratio, towards, strict=True)
        )
        return keep - self.forget * forget


@dataclass(frozen=True)
class EsdTerm:
    """Erased Stable Diffusion (Gandikota et al., ICCV 2023): away from what the prompt used to add.

    At latents that the model as it is draws of the prompt, its prediction is drawn to the original model's
    unconditional one minus ``strength`` times the original's guidance direction.

    Args:
        pairs: draws per prompt and update.
        strength: eta of the paper, 1.
        guidance: with which the latents are drawn, 3 in the released code.
    """

    uses_surrogates: ClassVar[bool] = False
    pairs: int
    strength: float = 1.0
    guidance: float = 3.0
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_positive("defense.terms.esd.pairs", self.pairs)
        check_positive("defense.terms.esd.guidance", self.guidance)

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
            _, z = next(walk)
        # any timestep of the sampler's stride, as in the released code
        width = now.train_timesteps // steps
        low = (steps - 1 - stop) * width
        t = torch.randint(low, low + width, (len(y),), generator=stream)
        where = t.to(now.device)
        nothing, prompted = (before.predict_noise(z, where, e) for e in (before.empty.expand_as(y), y))
        target = nothing - self.strength * (prompted - nothing)
        return {"z_t": z.cpu(), "y": y.cpu(), "t": t, "target": target.cpu()}

    def loss(self, diffusion: StableDiffusion, samples: Samples) -> Tensor:
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
            z_t = now.scheduler.add_noise(z, drawn["noise"], drawn["t"]).to(now.device, now.dtype)
            parts.append({
                "z_t": z_t.cpu(), "y": y.expand(self.pairs, -1, -1), "t": drawn["t"],
                "target": before.predict_noise(z_t, t, anchor).cpu(),
            })  # fmt: skip
        return joined(parts)

    def loss(self, diffusion: StableDiffusion, samples: Samples) -> Tensor:
        return imitated(diffusion, samples)


def imitated(diffusion: StableDiffusion, samples: Samples) -> Tensor:
    """Squared error per sample (n,) of the predicted noise against ``target``."""
    predicted = diffusion.predict_noise(samples["z_t"], samples["t"], samples["y"])
    return (predicted - samples["target"]).float().square().mean((1, 2, 3))


def prompts_of(material: Material, step: Step) -> Tensor:
    """Embeddings (targets, tokens, width) of the targets' own prompts, on the CPU."""
    return material.diffusion.encode_prompts([target.prompt for target in step.targets]).cpu()


def noised(material: Material, step: Step, target: Target, z: Tensor) -> Samples:
    """Noise and timesteps for a target's latents (n, c, h, w), the same in any company."""
    stream = generator(step.seed, "noise", target.name, step.number)
    noise = torch.randn(z.shape, generator=stream)
    t = torch.randint(material.diffusion.train_timesteps, (len(z),), generator=stream)
    return {"noise": noise, "t": t}
