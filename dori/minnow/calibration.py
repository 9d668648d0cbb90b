"""What a copy detector says of minnow's pictures before any attack.

``python -m dori.minnow.calibration`` prints it as tables.

The pictures are those of the group *calibration*, which no network sees. With a work folder of
``dori.minnow.train`` also the round trips of its autoencoder, and the agreement of its student; the recipe
writes these to its card.
"""

import argparse
import io
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from PIL import Image, ImageFilter
from torch import Tensor, nn

from dori.metrics.networks.sscd_int8 import SSCDInt8
from dori.minnow import student
from dori.minnow.autoencoder import to_unit
from dori.minnow.variations import Decode
from dori.minnow.world import population

QUANTILES = (0.01, 0.05, 0.5, 0.95, 0.99, 0.999)


def _file(form: str, **settings: object) -> Callable[[Image.Image], Image.Image]:
    def write(image: Image.Image) -> Image.Image:
        stream = io.BytesIO()
        image.save(stream, form, **settings)
        return Image.open(stream).convert("RGB")

    return write


def _crop(image: Image.Image) -> Image.Image:
    """2 % off, a hundredth at each edge."""
    off = 0.01 * image.width
    box = (off, off, image.width - off, image.height - off)
    return image.resize(image.size, Image.Resampling.BICUBIC, box=box)


LIGHT = {
    "JPEG, quality 85, 4:4:4": _file("JPEG", quality=85, subsampling=0),
    "WebP, quality 90": _file("WEBP", quality=90),
    "blur of 0.5 pixel": lambda image: image.filter(ImageFilter.GaussianBlur(0.5)),
    "crop of 2 %": _crop,
}


def edited(pixels: Tensor, edit: Callable[[Image.Image], Image.Image]) -> Tensor:
    """uint8 (n, h, w, 3) after an edit of each."""
    return torch.stack([torch.from_numpy(np.array(edit(Image.fromarray(each.numpy())))) for each in pixels])


@torch.no_grad()
def round_trip(pixels: Tensor, model: AutoencoderKL, noise: float = 0.0, batch: int = 64) -> Tensor:
    """uint8 pictures through the autoencoder; ``noise`` is added to their latents."""
    generator = torch.Generator().manual_seed(0)
    parts = []
    for part in pixels.split(batch):
        z = model.encode(to_unit(part)).latent_dist.mean
        found = model.decode(z + noise * torch.randn(z.shape, generator=generator)).sample
        parts.append(((found.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1))
    return torch.cat(parts)


def similarities(
    ruler: nn.Module, count: int, more: dict[str, Callable[[Tensor], Tensor]]
) -> dict[str, Tensor]:
    """The ruler's similarities of pairs: different pictures, one caption, a picture and its edits."""
    pixels = population.pixels(population.pictures("calibration", count))
    again = population.pixels(population.pictures("calibration", count, draw=1))
    z = student.described(ruler, pixels)
    different = (z @ z.T)[*torch.triu_indices(count, count, 1)]
    copies = {name: edited(pixels, edit) for name, edit in LIGHT.items()}
    copies |= {name: change(pixels) for name, change in more.items()}
    pairs = {"another drawing of the caption": again, **copies}
    return {
        "another picture": different,
        **{name: (z * student.described(ruler, other)).sum(1) for name, other in pairs.items()},
    }


def table(found: dict[str, Tensor]) -> str:
    """Markdown: quantiles of each."""
    head = ["pair", "n", *(f"{100 * q:g} %" for q in QUANTILES), "largest"]
    lines: list[Iterable[str]] = [head, ["---"] * len(head)]
    for name, values in found.items():
        figures = [*np.quantile(values.numpy(), QUANTILES), float(values.max())]
        lines.append([name, f"{len(values):,}", *(f"{figure:.2f}" for figure in figures)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def agreement(
    teacher: nn.Module, pupil: nn.Module, count: int, code: tuple[Tensor, Tensor], decode: Decode
) -> dict[str, float]:
    """Of a student and its teacher, on all pairs within each picture's variations."""
    pixels = student.lesson("calibration", count, code, decode)
    first, second = torch.triu_indices(student.EACH, student.EACH, 1)
    vectors = [
        student.described(ruler, pixels).unflatten(0, (-1, student.EACH)) for ruler in (pupil, teacher)
    ]
    mine, theirs = ((z[:, first] * z[:, second]).sum(2).flatten() for z in vectors)
    return student.agreement(mine, theirs)


def trained(
    teacher: nn.Module, pupil: nn.Module, model: AutoencoderKL, code: tuple[Tensor, Tensor], count: int = 1000
) -> str:
    """Markdown: what both rulers say of copies and others with a trained autoencoder, and how they agree."""
    trips = {
        f"VAE round trip, noise of {noise:g} on its latents": partial(round_trip, model=model, noise=noise)
        for noise in (0.0, 0.1, 0.2, 0.3)
    }
    parts = []
    for name, ruler in (("The real SSCD, at 64 pixels", teacher), ("The student", pupil)):
        parts.append(f"{name}:\n\n{table(similarities(ruler, count, trips))}")
    with torch.no_grad():
        found = agreement(teacher, pupil, count, code, lambda z: model.decode(z).sample)
    parts.append(
        f"On {found['n']:,} pairs of a picture and its variations, of which no network saw any: correlation"
        f" {found['correlation']:.3f}; the two agree on *above 0.7* in {100 * found['agree']:.1f} %, the"
        f" student alone says so of {100 * found['lenient']:.1f} %, SSCD alone of"
        f" {100 * found['strict']:.1f} %."
    )
    return "\n\n".join(parts) + "\n"


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m dori.minnow.calibration", description=__doc__)
    parser.add_argument("--sscd", type=Path, help="the ONNX file; by default the package's")
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[64], help="pixels at which SSCD sees a picture"
    )
    parser.add_argument("--count", type=int, default=500)
    given = parser.parse_args(arguments)
    for size in given.sizes:
        found = similarities(SSCDInt8(given.sscd, size), given.count, {})
        print(f"\nSSCD at {size}\n\n{table(found)}", flush=True)


if __name__ == "__main__":
    main()
