"""Images of embeddings, one PNG per (embedding, seed): what sampling stages write and read."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from dori.core.files import replace_file
from dori.core.predict import Predictor
from dori.core.randomness import generator
from dori.diffusion.protocol import Diffusion

SEEN = 2  # of 255: less nobody sees


def file_name(index: int, seed: int) -> str:
    """Of the picture of a prompt, by its place, at a seed."""
    return f"{index:05d}_{seed:02d}.png"


def blended(fresh: Tensor, centre: Tensor, spread: Tensor | float) -> Tensor:
    """Noise (n, c, h, w) around a centre of norm sqrt(c * h * w), with a Gaussian's norm: the share
    ``spread`` s, or one for each (n, 1, 1, 1), is fresh, sqrt(1 - s^2) centre + s fresh."""
    kept = (1 - spread**2) ** 0.5
    return kept * centre + spread * fresh


def around(triggers: Mapping[str, Tensor], fresh: Tensor, rows: Tensor | None = None) -> Tensor:
    """What sampling starts from: fresh noise (n, c, h, w), but around the ``noise`` (m, c, h, w) of the
    triggers at ``rows`` (n,), as ``spread`` (m,) says, where an attack found such."""
    if "noise" not in triggers:
        return fresh
    centre, spread = (triggers[key] if rows is None else triggers[key][rows] for key in ("noise", "spread"))
    return blended(fresh, centre.to(fresh), spread.to(fresh).view(-1, 1, 1, 1))


def draw(
    diffusion: Diffusion,
    embeddings: Tensor,
    names: list[str],
    seeds: int,
    folder: Path,
    predictor: Predictor,
    seed: int = 0,
    places: list[int] | None = None,
    restarts: int = 1,
    triggers: Mapping[str, Tensor] | None = None,
    inside: Callable[[list[int]], AbstractContextManager] | None = None,
) -> None:
    """``seeds`` images of each of the ``names``, or of those at ``places``, shared among its embeddings.

    The ``restarts`` embeddings of a name, one after the other in (n * restarts, rows, width), get
    ``seeds`` / ``restarts`` images each. The initial noise depends on (seed, name, index of the image
    among those of its embedding) alone: the same for every model and every embedding of a target;
    where an attack moved it, ``triggers`` say how, see ``around``.
    ``inside`` is entered around each batch, with the index of the name of each of its images.
    Images that are there already are kept.
    """
    each = seeds // restarts
    wanted = [(index, j) for index in (range(len(names)) if places is None else places) for j in range(seeds)]

    def sample(chunk: list[tuple[int, int]]) -> None:
        if all((folder / file_name(*place)).exists() for place in chunk):
            return
        shape = diffusion.latent_shape
        streams = [generator(seed, "image", names[index], j % each) for index, j in chunk]
        noise = torch.stack([torch.randn(shape, generator=stream) for stream in streams])
        rows = torch.tensor([i * restarts + j // each for i, j in chunk])
        with inside([index for index, _ in chunk]) if inside else nullcontext():
            images = diffusion.sample(embeddings[rows], around(triggers or {}, noise, rows))
        for place, image in zip(chunk, images, strict=True):
            picture = Image.fromarray(image.permute(1, 2, 0).numpy())
            replace_file(folder / file_name(*place), partial(picture.save, format="PNG"))

    hooked = inside is not None or diffusion.guard is not None
    chunks = predictor.chunks(wanted, diffusion.samples_per_call, hooked)
    predictor.run(diffusion.networks, sample, chunks, hooked)


def is_blank(images: Tensor) -> Tensor:
    """Whether images (n, 3, H, W) are of one colour, as far as anybody could see: boolean (n,).

    A network that returned NaN draws such.
    """
    values = images.flatten(2).int()
    return ((values.amax(2) - values.amin(2)) <= SEEN).all(1)


def load(folder: Path, index: int, seeds: int) -> Tensor:
    """uint8 (seeds, 3, H, W): the images of one embedding."""
    images = []
    for j in range(seeds):
        with Image.open(folder / file_name(index, j)) as image:
            images.append(torch.from_numpy(np.array(image)).permute(2, 0, 1))
    return torch.stack(images)
