"""How strongly each value neuron answers to ordinary captions: NeMo's statistics of a model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from dori.core.errors import InputError
from dori.core.files import save_tensors
from dori.diffusion import Diffusion
from dori.pruning.nemo.noise_difference import PUBLISHED_SEED


def activations(diffusion: Diffusion, layers: dict[str, nn.Linear], y: Tensor) -> dict[str, Tensor]:
    """Mean over tokens of value layers' |output|: (n, neurons) per layer, of conditionings (n, rows, width).

    Where the layers read the text as it stands, it is all that they are given. Elsewhere it was projected,
    or among the image's tokens, before: there the model looks at one noise, at NeMo's time; ours.
    """
    if diffusion.values_read_text:
        text, _ = diffusion.rows.unpack(y)
        return {
            name: torch.cat([layer(part).abs().mean(1) for part in text.split(256)]).float().cpu()
            for name, layer in layers.items()
        }
    kept: dict[str, list[Tensor]] = {name: [] for name in layers}
    hooks = [
        layer.register_forward_hook(lambda _, __, out, name=name: kept[name].append(out.abs().mean(1)))
        for name, layer in layers.items()
    ]
    noise = torch.randn(1, *diffusion.latent_shape, generator=torch.Generator().manual_seed(PUBLISHED_SEED))
    try:
        for part in y.split(diffusion.batch):
            t = torch.full((len(part),), diffusion.noise_timestep, device=diffusion.device)
            z = noise.to(diffusion.device, diffusion.dtype).expand(len(part), -1, -1, -1)
            diffusion.predict(z, t, part)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: torch.cat(parts).float().cpu() for name, parts in kept.items()}


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation over ordinary captions, one tensor (neurons,) per layer."""

    mean: list[Tensor]
    std: list[Tensor]

    @classmethod
    @torch.no_grad()
    def measured(cls, diffusion: Diffusion, layers: dict[str, nn.Linear], y: Tensor) -> "Statistics":
        """Of conditionings (n, rows, width)."""
        found = activations(diffusion, layers, y).values()
        return cls([a.mean(0) for a in found], [a.std(0) for a in found])

    @classmethod
    def load(cls, path: Path) -> "Statistics":
        """Safetensors as ``save`` writes them, or the ``.pt`` that NeMo's authors publish.

        Raises:
            InputError: no such file, or not a pair of lists of tensors; nothing else is unpickled.
        """
        try:
            if path.suffix == ".safetensors":
                tensors = load_file(path)
                count = len(tensors) // 2
                mean, std = ([tensors[f"{k}.{i}"] for i in range(count)] for k in ("mean", "std"))
            else:
                mean, std = torch.load(path, map_location="cpu", weights_only=True)
            if not all(isinstance(x, Tensor) and x.dim() == 1 for x in (*mean, *std)):
                raise ValueError("it holds no (means, standard deviations)")
        except (OSError, ValueError, TypeError, KeyError, UnpicklingError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"cannot read pruning.statistics {path}: {reason}") from None
        return cls([x.float() for x in mean], [x.float() for x in std])

    def save(self, path: Path) -> None:
        """Write mean and deviation of each layer as safetensors."""
        tensors = {f"mean.{i}": x for i, x in enumerate(self.mean)}
        save_tensors(tensors | {f"std.{i}": x for i, x in enumerate(self.std)}, path)

    def check(self, layers: dict[str, nn.Linear]) -> None:
        """Raises InputError where the statistics are those of another model."""
        have, want = [len(x) for x in self.mean], [layer.out_features for layer in layers.values()]
        if have != want or have != [len(x) for x in self.std]:
            raise InputError(
                f"pruning.statistics are of layers of {have} neurons, but the model's have {want}:"
                " they belong to another model"
            )

    def outliers(self, answers: Sequence[Tensor], theta: float, k: int) -> list[list[int]]:
        """Per layer, neurons more than ``theta`` deviations off, then the ``k`` largest answers.

        A neuron that is both is listed twice, as in the released code.
        """
        listed = []
        for a, mean, std in zip(answers, self.mean, self.std, strict=True):
            far = ((a - mean).abs() / std > theta).nonzero().flatten().tolist()
            # ties go to the lower neuron
            strongest = a.argsort(descending=True, stable=True)[:k].tolist()
            listed.append(far + strongest)
        return listed
