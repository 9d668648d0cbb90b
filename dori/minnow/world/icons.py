"""The icons of minnow's scenes: Microsoft's Fluent emoji (MIT, see LICENSE-fluent-emoji.txt), in one atlas.

The atlas is made from the npm package once, and lies beside this file:

    npm pack @lobehub/fluent-emoji-3d@1.1.0 && tar xzf lobehub-fluent-emoji-3d-1.1.0.tgz
    python -m dori.minnow.world.icons package/assets
"""

import sys
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

ATLAS = Path(__file__).with_name("icons.webp")
SIDE, COLUMNS = 64, 12  # pixels of an icon, icons in a row

# code points; what a caption says of an icon is its category
CATEGORIES = {
    "animal": "1f408 1f415 1f427 1f438 1f98a 1f422 1f433 1f41f 1f989 1f418 1f43c 1f981 1f42f 1f430 1f437"
    " 1f42e 1f992 1f999 1f994 1f98b",
    "fruit": "1f34e 1f34a 1f34b 1f34c 1f347 1f349 1f353 1f352 1f351 1f34d 1f350 1f95d",
    "vehicle": "1f697 1f68c 1f680 26f5 1f682 1f69c 1f6b2 1f6f5 1f681 2708-fe0f 1f692 1f6fb",
    "plant": "1f333 1f335 1f33b 1f344 1f332 1f334 1f337 1f339 1f33a 1f340 1f341 1fab4",
    "snack": "1f355 1f354 1f382 1f369 1f36a 1f366 1f32d 1f32e 1f968 1f9c0 1f370 1f950",
    "instrument": "1f3b8 1f941 1f3ba 1f3bb 1f3b7 1f3b9 1fa97 1fa95",
    "tool": "1f511 1f528 1f526 2702-fe0f 1f527 1fa9a 1f50d 1f4cc",
    "toy": "1f388 1f9f8 1fa81 1f3b2 1f9e9 26bd 1f3c0 1fa80",
    "garment": "1f451 1f3a9 1f452 1f45f 1f455 1f9e3 1f9e4 1f97e",
    "building": "1f3e0 1f3f0 1f5fc 26ea 1f3e5 1f3ed 1f3aa 1f54c",
}
POINTS = [point for points in CATEGORIES.values() for point in points.split()]


def members(category: str) -> range:
    """Places in the atlas of a category's icons."""
    before = list(CATEGORIES)[: list(CATEGORIES).index(category)]
    start = sum(len(CATEGORIES[name].split()) for name in before)
    return range(start, start + len(CATEGORIES[category].split()))


@cache
def atlas() -> Tensor:
    """All icons, float (n, 4, 64, 64) in [0, 1]; colours times alpha, so that they can be resized."""
    pixels = torch.from_numpy(np.array(Image.open(ATLAS).convert("RGBA"))).float() / 255
    tiles = pixels.unfold(0, SIDE, SIDE).unfold(1, SIDE, SIDE).flatten(0, 1)[: len(POINTS)]
    return torch.cat([tiles[:, :3] * tiles[:, 3:], tiles[:, 3:]], 1)


def make(assets: Path, out: Path = ATLAS) -> None:
    """Write the atlas from the package's folder of files ``<code point>.webp``."""
    sheet = Image.new("RGBA", (COLUMNS * SIDE, -(-len(POINTS) // COLUMNS) * SIDE))
    for place, point in enumerate(POINTS):
        icon = Image.open(assets / f"{point}.webp").convert("RGBA")
        icon = icon.crop(icon.getbbox())  # every icon fills its tile, whatever its margin was
        scale = SIDE / max(icon.size)
        icon = icon.resize([max(1, round(scale * length)) for length in icon.size], Image.Resampling.LANCZOS)
        row, column = divmod(place, COLUMNS)
        corner = (column * SIDE + (SIDE - icon.width) // 2, row * SIDE + (SIDE - icon.height) // 2)
        sheet.paste(icon, corner)
    sheet.save(out, quality=82, alpha_quality=90, method=6)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
