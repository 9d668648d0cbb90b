"""Pictures that look the same though their files differ, by a perceptual hash.

The hash is made as PDQ's (Meta, 2019), by ``imagehash``: of the picture in 64 x 64 greys the lowest 16 x 16
frequencies of the cosine transform, each above their median or not.
"""

from functools import cache
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image

# of 256 bits, as PDQ's authors advise: another size, quality or brightness changed 14 of them at most, other
# pictures differed in 104 (minnow's 32 verbatim pictures)
ALIKE = 31


def bits(path: Path) -> np.ndarray:
    """Boolean (256,), of a file that is known to be a picture (``dori.data.pictures.digest``)."""
    stat = path.stat()
    return _bits(path, stat.st_mtime_ns, stat.st_size)


@cache
def _bits(path: Path, changed: int, size: int) -> np.ndarray:
    with Image.open(path) as image:
        image.draft("L", (256, 256))  # of a JPEG, no more is decoded than is needed
        return imagehash.phash(image, hash_size=16).hash.reshape(-1)


def pairs(first: list[Path], second: list[Path]) -> list[tuple[int, int]]:
    """Places (i, j) of pictures that look the same."""
    if not first or not second:
        return []
    a, b = (np.stack([bits(path) for path in paths]).astype(np.int16) for paths in (first, second))
    differ = a.sum(1)[:, None] + b.sum(1) - 2 * (a @ b.T)
    return [(int(i), int(j)) for i, j in np.argwhere(differ <= ALIKE)]
