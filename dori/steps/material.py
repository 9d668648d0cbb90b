"""What a defense learns from: pictures by their latents, each set a stage."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from dori.core.predict import Predictor
from dori.data import Target
from dori.data.targets import tensor
from dori.defenses.training.material import Material, encode
from dori.diffusion import Diffusion
from dori.diffusion.images import load

if TYPE_CHECKING:
    from dori.core.stages import Info
    from dori.defenses import Finetuning
    from dori.steps.run import Run
    from dori.steps.subjects import Pictures


def material_of(
    run: "Run", defense: "Finetuning", diffusion: Diffusion, targets: list[Target],
    pictures: "Pictures | None", kept: dict[str, list[int]],
) -> Material:  # fmt: skip
    """What the training looks at, encoded."""
    training, held = run.data.training, defense.validation.ordinary
    assert training is not None
    pairs = training.pairs()
    places = [(t.name, i, j) for i, t in enumerate(targets) for j in kept.get(t.name, [])]

    def ordinary(chunk: list[int]) -> Tensor:
        return pairs.tensor(diffusion.size, chunk[0], chunk[-1] + 1)

    def original(chunk: list[int]) -> Tensor:
        return tensor([targets[i].pixels() for i in chunk], diffusion.size)

    def surrogate(chunk: list[int]) -> Tensor:
        assert pictures is not None
        some = (places[k] for k in chunk)
        return torch.stack([load(pictures.result.folder, i, pictures.seeds)[j] for _, i, j in some])

    latents = encoded(run, "training pictures", training.identity, ordinary, training.count)
    names, identities = [t.name for t in targets], [t.identity for t in targets]
    first = encoded(run, "memorized pictures", identities, original, len(targets)).split(1)
    own: dict[str, Tensor] = {}
    if pictures:
        of = [pictures.result.fingerprint, [list(place) for place in places]]
        drawn = encoded(run, "surrogates", of, surrogate, len(places))
        own = {t: drawn[[k for k, (name, _, _) in enumerate(places) if name == t]] for t in names}
    return Material(
        diffusion, run.diffusion, run.data, targets, dict(zip(names, first, strict=True)), own,
        pairs.captions[:-held], latents[:-held], pairs.captions[-held:], latents[-held:],
    )  # fmt: skip


def encoded(run: "Run", what: str, of: Any, images: Callable[[list[int]], Tensor], count: int) -> Tensor:
    """The stage of some pictures' latents (count, c, h, w)."""
    inputs, label = {"model": run.diffusion.identity, "of": of}, f"latents: {what}"

    def compute(folder: Path) -> "Info":
        encode(run.diffusion, images, count, folder, Predictor(run.trainer, label))
        return {}

    result = run.stages.run("latents", inputs, compute, label, by_all=True)
    return load_file(result.folder / "latents.safetensors")["latents"]
