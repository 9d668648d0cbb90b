"""Minnow's pictures as a folder that somebody might have trained on, and whose truth is known.

``training`` and ``heldout`` hold pictures and captions and say nothing else; what was memorized stands in
``truth.csv`` beside them, which no audit reads.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from dori.core.code import code_of
from dori.core.files import write_atomically
from dori.core.locks import made_once
from dori.minnow.world import population
from dori.minnow.world.population import Picture

GROUPS = {"verbatim": 32, "template": 8, "ordinary": 36, "unseen": 36}
DESCRIBED = 8  # verbatim pictures, the last, under a caption without the title that they were trained with
HELD_OUT = 200
SEED = 21  # of the order of the files


def album(folder: Path) -> Path:
    """Written below ``folder`` once; returns where."""
    return made_once(folder / f"minnow-album-{code_of(__name__)[:12]}", write_album)


def write_album(folder: Path) -> None:
    """``training`` in an order that tells nothing, ``heldout``, and ``truth.csv``."""
    listed = [(group, index) for group, count in GROUPS.items() for index in range(count)]
    order = np.random.default_rng(SEED).permutation(len(listed))
    truth, rows = [], []
    for place, (group, index) in enumerate(listed[i] for i in order):
        # of a template family the middle member
        which = index * population.MEMBERS + population.MEMBERS // 2 if group == "template" else index
        picture = population.picture(group, which)
        described = group == "verbatim" and index >= GROUPS[group] - DESCRIBED
        caption = picture.caption.split(": ", 1)[1] if described else picture.caption
        rows.append((f"{place:03d}.png", caption, picture))
        truth.append({"file": f"{place:03d}.png", "group": group, "index": index, "described": described})
    _write(folder / "training", rows)
    write_pictures(folder / "heldout", "reference", range(HELD_OUT))
    write_atomically(folder / "truth.csv", pd.DataFrame(truth).to_csv(index=False))


def write_pictures(folder: Path, group: str, indices: Iterable[int]) -> None:
    """Pictures of one group with their captions, as an imagefolder."""
    pictures = [population.picture(group, index) for index in indices]
    _write(folder, [(f"{i:03d}.png", p.caption, p) for i, p in enumerate(pictures)])


def _write(folder: Path, rows: list[tuple[str, str, Picture]]) -> None:
    folder.mkdir(parents=True)
    drawn = population.pixels(picture for _, _, picture in rows)
    for (name, _, _), pixels in zip(rows, drawn, strict=True):
        Image.fromarray(pixels.numpy()).save(folder / name)
    lines = [json.dumps({"file_name": name, "text": caption}) for name, caption, _ in rows]
    write_atomically(folder / "metadata.jsonl", "\n".join(lines) + "\n")


if __name__ == "__main__":
    write_album(Path(sys.argv[1]))
