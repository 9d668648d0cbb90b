"""NeMo straight from the paper and the released code: one mask per call, nothing reused.

Nothing of dori's NeMo is imported: of dori there is the model with its own forward pass, and the settings.

Every call runs two timesteps of which the first is thrown away, all seeds are computed though some
are ignored, and a whole pass collects activations that depend on the text alone.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure

from dori.diffusion import StableDiffusion


class Reference:
    """The published procedure for one prompt; the counts are those of METHODS' formula.

    ``nemo``: its settings; ``window``: torchmetrics' for MS-SSIM, without data range where released;
    ``mean`` and ``std``: per value layer (neurons,), over ordinary captions.
    """

    def __init__(
        self, model: StableDiffusion, nemo: Any, window: dict[str, Any], prompt: str, mean: list, std: list
    ):
        self.model, self.nemo, self.mean, self.std = model, nemo, mean, std
        self.window = {**window, "betas": tuple(window["betas"])}
        self.calls = self.iterations = self.layer_tests = self.neuron_tests = 0
        self.y = model.encode_prompts([prompt])
        modules = dict(model.denoiser.named_modules())
        names = [n for n in modules if n.endswith("attn2.to_v") and n.startswith("down_blocks")]
        names += [n for n in modules if n.endswith("attn2.to_v") and n.startswith("mid_block")]
        if nemo.layers == "all":
            names += [n for n in modules if n.endswith("attn2.to_v") and n.startswith("up_blocks")]
        self.layers = {name: modules[name] for name in names}

    @property
    def published(self) -> int:
        """U-Net samples of the released code: seeds (2 + 3 I + 2 + 2 + 2 L + 2 N + 2)."""
        tests = self.layer_tests + self.neuron_tests
        return self.nemo.seeds * (2 + 3 * self.iterations + 2 + 2 + 2 * tests + 2)

    @torch.no_grad()
    def difference(self, listed: list[list[int]] | None = None) -> Tensor:
        hooks = []
        for layer, neurons in zip(self.layers.values(), listed or [], strict=False):

            def block(_: nn.Module, __: tuple, out: Tensor, neurons: list[int] = neurons) -> Tensor:
                out = out.clone()
                out[:, :, neurons] *= 0
                return out

            hooks.append(layer.register_forward_hook(block))
        latents = self.latents(self.nemo.seeds)
        schedule = self.model.schedule.scheduler
        schedule.set_timesteps(50)
        y = self.y.expand(len(latents), -1, -1)
        for t in schedule.timesteps[:2]:
            noise = self.model.predict(latents, t.expand(len(latents)), y)
            self.calls += self.nemo.seeds
        for hook in hooks:
            hook.remove()
        found = (noise - latents).float()
        low, high = found.amin((2, 3), keepdim=True), found.amax((2, 3), keepdim=True)
        return (found - low) / (high - low)

    def latents(self, count: int) -> Tensor:
        generator = torch.Generator().manual_seed(1 + self.nemo.seed)
        return torch.randn(count, *self.model.latent_shape, generator=generator).to(self.model.dtype)

    @torch.no_grad()
    def activations(self) -> list[Tensor]:
        kept: list[Tensor] = []
        hooks = [
            layer.register_forward_hook(lambda _, __, out: kept.append(out[0].abs().mean(0).float()))
            for layer in self.layers.values()
        ]
        self.model.predict(self.latents(1), self.model.schedule.scheduler.timesteps[:1], self.y)
        self.calls += 1
        for hook in hooks:
            hook.remove()
        return kept

    def seed_scores(self, difference: Tensor) -> Tensor:
        pairs = torch.combinations(torch.arange(len(difference)))
        similar = self.similar(difference[pairs[:, 0]], difference[pairs[:, 1]])
        return torch.stack([similar[(pairs == i).any(1)].max() for i in range(len(difference))])

    def similar(self, a: Tensor, b: Tensor) -> Tensor:
        found = multiscale_structural_similarity_index_measure(a, b, **self.window, reduction="none")
        return found.reshape(-1)

    def score(self, unblocked: Tensor, kept: Tensor, listed: list[list[int]]) -> float:
        return self.similar(unblocked, self.difference(listed)[kept]).max().item()

    def run(self, threshold: float) -> list[list[int]]:
        """Per layer the neurons; one that qualifies twice may be listed twice."""
        unblocked = self.difference()
        kept = self.seed_scores(unblocked) > threshold
        unblocked = unblocked[kept]
        if not kept.any():
            return [[] for _ in self.layers]
        theta, k, score = self.nemo.theta, self.nemo.k, 1.0
        while score > threshold:
            self.iterations += 1
            listed = []
            for a, mean, std in zip(self.activations(), self.mean, self.std, strict=True):
                far = [i for i in range(len(a)) if abs(a[i] - mean[i]) / std[i] > theta]
                largest = sorted(range(len(a)), key=lambda i: (-a[i].item(), i))[:k]
                listed.append(far + largest)
            score = self.score(unblocked, kept, listed)
            if score > threshold:
                if theta > self.nemo.theta_min:
                    theta -= self.nemo.theta_step
                k += 1
                if theta <= self.nemo.theta_min or k >= self.nemo.k_max:
                    threshold = score
                    break
        self.difference()  # computed anew before the refinement
        self.difference(listed)
        for layer in reversed(range(len(listed))):
            if listed[layer]:
                self.layer_tests += 1
                trial = [[] if i == layer else neurons for i, neurons in enumerate(listed)]
                if self.score(unblocked, kept, trial) < threshold:
                    listed = trial
        for layer in reversed(range(len(listed))):
            for neuron in list(listed[layer]):
                self.neuron_tests += 1
                trial = [list(neurons) for neurons in listed]
                trial[layer].remove(neuron)
                if self.score(unblocked, kept, trial) < threshold:
                    listed = trial
        self.difference(listed)
        return listed
