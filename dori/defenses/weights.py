"""Somebody's own weights as the mitigation: a checkpoint of which it is said that it has forgotten."""

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from dori.core.errors import InputError
from dori.core.weights import read_state_dict
from dori.data import Data
from dori.diffusion import Diffusion

PREFIXES = ("", "unet.", "transformer.", "denoiser.", "module.")  # before a denoiser's own names
DENOISERS = ("unet", "transformer")  # how pipelines' folders call theirs
GIVE = "a denoiser's folder, a pipeline's, or a file with all of a denoiser's weights or some of them"


@dataclass(frozen=True)
class Weights:
    """The mitigated model is the original with other weights in its denoiser.

    Args:
        path: the folder of a denoiser in diffusers' format; that of a whole pipeline, of which the denoiser
            is taken; or a file of tensors under diffusers' names, all or those that were changed, such as
            ESD (arXiv 2303.07345) and UCE (arXiv 2308.14761) write: it is laid over the model's own weights.
            Safetensors, or a PyTorch file that holds nothing but tensors.
        name: how rows and reports call it.
    """

    path: str
    name: str = "weights"

    def __post_init__(self) -> None:
        if not Path(self.path).exists():
            raise InputError(f"defense.path {self.path!r} does not exist: give {GIVE}")
        if Path(self.path).is_dir() and self.folder is None:
            raise InputError(f"defense.path {self.path!r} has neither config.json nor unet/: give {GIVE}")

    @property
    def folder(self) -> Path | None:
        """Of a denoiser, where a folder is given; None for a file."""
        places = (Path(self.path), *(Path(self.path) / name for name in DENOISERS))
        return next((place for place in places if (place / "config.json").is_file()), None)

    def check(self, diffusion: Diffusion, data: Data) -> None:
        """Reads names and shapes alone.

        Raises:
            InputError: they are not this model's; or the folder has this model's very weights.
        """
        if self.folder is None:
            self.changed(diffusion, device="meta")
            return
        other = diffusion.with_denoiser(self.folder)
        mine, theirs = ({n: w.shape for n, w in m.skeleton.state_dict().items()} for m in (diffusion, other))
        if mine != theirs:
            differing = min(mine.items() ^ theirs.items())[0]
            raise InputError(
                f"defense.path {self.path!r} is not of {diffusion.name}'s architecture: {differing} differs"
            )
        if other.fingerprint == diffusion.fingerprint:
            raise self._unchanged(diffusion)

    def changed(self, diffusion: Diffusion, device: str = "cpu") -> dict[str, Tensor]:
        """The weights in the file, by the names of the model's denoiser.

        Raises:
            InputError: names or shapes that the denoiser does not have.
        """
        given = read_state_dict(self.path, GIVE, device=device)
        known = {name: weight.shape for name, weight in diffusion.skeleton.state_dict().items()}
        found = {
            prefix: {name.removeprefix(prefix): weight for name, weight in given.items()}
            for prefix in PREFIXES if all(name.startswith(prefix) for name in given)
        }  # fmt: skip
        fitting = (some for some in found.values() if some.keys() <= known.keys())
        if not (weights := next(fitting, None)):
            unknown = min(given.keys() - known.keys(), default="none at all")
            raise InputError(
                f"defense.path {self.path!r} has weights that {diffusion.name}'s denoiser has not, e.g."
                f" {unknown}: give them under diffusers' names"
            )
        for name, weight in weights.items():
            if weight.shape != known[name]:
                raise InputError(
                    f"defense.path {self.path!r}: {name} is {tuple(weight.shape)}, where {diffusion.name} has"
                    f" {tuple(known[name])}: they belong to different models"
                )
        return weights

    def write(self, diffusion: Diffusion, folder: Path) -> dict[str, int]:
        """The model's denoiser with the weights of the file laid over its own, in diffusers' format.

        Raises:
            InputError: none of them differs from the model's own.
        """
        base = diffusion.fresh()  # whose weights may be written to
        own, changed = base.denoiser.state_dict(), 0
        for name, weight in self.changed(diffusion).items():
            before = own[name].clone()
            own[name].copy_(weight)
            changed += int((own[name] != before).sum())
        if not changed:
            raise self._unchanged(diffusion)
        base.save_denoiser(base.denoiser, folder)
        return {"changed": changed}

    def _unchanged(self, diffusion: Diffusion) -> InputError:
        return InputError(f"defense.path {self.path!r} has {diffusion.name}'s own weights: nothing changed")
