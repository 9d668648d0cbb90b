"""NeMo: neurons of the text cross-attention's values that hold a memory (arXiv 2406.02366)."""

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from tqdm import tqdm

from dori.core.costs import Cost
from dori.core.errors import InputError, check_positive, unknown
from dori.core.files import save_tensors
from dori.data import Data, Target
from dori.data.targets import embedded
from dori.diffusion import Diffusion
from dori.diffusion.similarity import Released
from dori.pruning.masks import Mask, union
from dori.pruning.nemo import noise_difference as nd
from dori.pruning.nemo.neurons import neurons
from dori.pruning.nemo.probe import Probe
from dori.pruning.nemo.statistics import Statistics
from dori.pruning.selection import Keep, Selection

PUBLISHED = 0.428  # threshold in Stable Diffusion 1.4
LAYERS = {"published": "values", "all": "all_values"}
PROBED = 50  # masks that a prompt tries, about: thresholds, then layers, then neurons


@dataclass(frozen=True)
class NeMo:
    """Block, for each prompt, the fewest neurons that bring its memorization score down.

    The score is the highest similarity of a prompt's noise differences at different seeds, the
    threshold mean + 1 standard deviation of it over ordinary captions. A prompt that is not above
    it gets no neurons.

    Args:
        layers: ``published`` (down and mid blocks) or ``all`` cross-attention layers.
        apply: ``per_prompt``, each prompt's own neurons, or the ``union`` of the memorized prompts'.
        seeds, seed: noises per prompt, and the seed of the generator of them all; at 0 the published ones.
        theta, theta_step, theta_min: deviations from ordinary that make a candidate; the first, the
            step down, and where the search gives up.
        k: candidates by absolute answer at first; one more at every step.
        k_max: and no more than so many.
        threshold: of the score; ``null``: computed from the ordinary captions, and cached. The published
            0.428 is of ``Released`` similarity alone, in Stable Diffusion 1.4.
        statistics: file of a model's statistics; ``null``: computed from the ordinary captions.
    """

    name: str = "nemo"
    layers: str = "published"
    apply: str = "per_prompt"
    seeds: int = 10
    seed: int = 0
    theta: float = 5.0
    theta_step: float = 0.25
    theta_min: float = 1.0
    k: int = 0
    k_max: int = 1280
    threshold: float | None = None
    statistics: str | None = None

    def __post_init__(self) -> None:
        for key in ("seeds", "theta", "theta_step", "theta_min", "k_max"):
            check_positive(f"pruning.{key}", getattr(self, key))
        if self.seeds < 2:
            raise InputError("pruning.seeds must be 2 or more: the score compares different seeds")
        if self.apply not in ("per_prompt", "union"):
            raise unknown("pruning.apply", self.apply, ("per_prompt", "union"))
        if self.layers not in LAYERS:
            raise unknown("pruning.layers", self.layers, tuple(LAYERS))

    @property
    def per_prompt(self) -> bool:
        return self.apply == "per_prompt"

    def cost(self, diffusion: Diffusion, targets: int, data: Data) -> Cost:
        """About: how many neurons a prompt has to try is not known before; ordinary captions have none."""
        return Cost(self.seeds * (PROBED * targets + len(data.captions)))

    def check(self, diffusion: Diffusion, data: Data) -> None:
        """Raises InputError: layers, captions, statistics or latents that do not suit it."""
        nd.check_window(diffusion)
        if self.threshold == PUBLISHED and not isinstance(diffusion.noise_similarity, Released):
            raise InputError(
                f"pruning.threshold {PUBLISHED} is the published one, but {diffusion.name} compares noise in"
                " another way: set model.noise_similarity to dori.diffusion.similarity.Released, or"
                " pruning.threshold to null"
            )
        layers = diffusion.layers(LAYERS[self.layers], loaded=False)
        if self.statistics is not None:
            Statistics.load(Path(self.statistics)).check(layers)
        if self.statistics is None or self.threshold is None:
            _captions(data)

    @torch.no_grad()
    def select(self, diffusion: Diffusion, targets: list[Target], data: Data, keep: Keep) -> Selection:
        """The neurons of each target's prompt: masks (neurons,) per value layer."""
        layers = diffusion.layers(LAYERS[self.layers])
        statistics = self._statistics(diffusion, data, keep)
        statistics.check(layers)
        ordinary = self._ordinary_scores(diffusion, data, keep)
        threshold = self.threshold if self.threshold is not None else float(ordinary.mean() + ordinary.std())
        y = embedded(targets, diffusion.encode_prompts)
        noise = nd.noises(diffusion, self.seeds, self.seed)
        evaluations = len(targets) * self.seeds
        masks, scores, unpruned = [], {}, []
        # minutes for a prompt of Stable Diffusion; silent where nobody looks
        for target, own in tqdm(list(zip(targets, y.split(1), strict=True)), "mask: nemo", disable=None):
            # in a call of its own, as published: what shares it moves the last bits
            difference = next(nd.differences_of(diffusion, own, noise))
            similar = nd.pairwise(diffusion.noise_similarity, difference)
            scores[target.name] = float(similar.max())
            kept = similar > threshold
            mask: Mask = {n: torch.zeros(m.out_features, dtype=torch.bool) for n, m in layers.items()}
            if kept.any():
                probe = Probe(diffusion, list(layers), own, noise, kept, difference[kept])
                mask, spent = self._kept_neurons(probe, statistics, threshold, keep)
                evaluations += spent
            else:
                unpruned.append(target.name)
            masks.append(mask)
        facts = {
            "scores": scores, "ordinary_scores": ordinary.tolist(), "threshold": threshold,
            "unpruned": unpruned,
        }  # fmt: skip
        return Selection(masks if self.per_prompt else [union(*masks)], evaluations, facts)

    def _statistics(self, diffusion: Diffusion, data: Data, keep: Keep) -> Statistics:
        if self.statistics is not None:
            return Statistics.load(Path(self.statistics))

        def compute(folder: Path) -> dict[str, Any]:
            y = diffusion.encode_prompts(_captions(data))
            layers = diffusion.layers(LAYERS[self.layers])
            Statistics.measured(diffusion, layers, y).save(folder / "statistics.safetensors")
            return {}

        inputs = {"captions": data.captions, "layers": self.layers}
        return Statistics.load(keep("statistics", inputs, compute) / "statistics.safetensors")

    def _ordinary_scores(self, diffusion: Diffusion, data: Data, keep: Keep) -> Tensor:
        if self.threshold is not None and not data.captions:
            return torch.empty(0)

        def compute(folder: Path) -> dict[str, Any]:
            y = diffusion.encode_prompts(_captions(data))
            noise = nd.noises(diffusion, self.seeds, self.seed)
            found = [
                nd.pairwise(diffusion.noise_similarity, difference).max()
                for difference in nd.differences_of(diffusion, y, noise)
            ]
            save_tensors({"scores": torch.stack(found).cpu()}, folder / "scores.safetensors")
            return {"denoiser_evaluations": len(y) * self.seeds}

        inputs = {"captions": data.captions, "seeds": self.seeds, "seed": self.seed}
        return load_file(keep("ordinary_scores", inputs, compute) / "scores.safetensors")["scores"]

    def _kept_neurons(
        self, probe: Probe, statistics: Statistics, threshold: float, keep: Keep
    ) -> tuple[Mask, int]:
        """A prompt's neurons, and the samples that finding them took; each prompt outlives a killed run."""

        def compute(folder: Path) -> dict[str, Any]:
            mask = neurons(self, probe, statistics, threshold)
            found = {name: part.to(torch.uint8).cpu() for name, part in mask.items()}
            found["evaluations"] = torch.tensor(probe.evaluations)
            save_tensors(found, folder / "neurons.safetensors")
            return {}

        of = digest([probe.y, probe.noise, probe.kept, probe.unblocked, *statistics.mean, *statistics.std])
        inputs = {"settings": asdict(self), "threshold": threshold, "of": of}
        found = load_file(keep("neurons", inputs, compute) / "neurons.safetensors")
        return {name: part.bool() for name, part in found.items() if name in probe.layers}, int(
            found["evaluations"]
        )


def _captions(data: Data) -> list[str]:
    if len(data.captions) < 2:
        raise InputError(
            "NeMo compares with ordinary captions, but the data has none: give data.ordinary=<captions file>,"
            " or pruning.statistics and pruning.threshold"
        )
    return data.captions


def digest(tensors: list[Tensor]) -> str:
    """SHA-256 of their bytes."""
    found = hashlib.sha256()
    for tensor in tensors:
        found.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
