"""The audit of minnow against the truth that it is not told: precision, recall, false alarms, calibration.

    python benchmarks/audit.py [--job FOLDER] [--fresh-in-album N] [overrides of dori experiments=audit]

What counts: *given* are the verbatim pictures that minnow gives from the captions in the album, by the
published threshold on four other seeds; *memorized* are all verbatim pictures and template families.
Pictures that no audit saw tell how often the threshold is wrong; N of them in the album, how often the
verdict is. Prints, last, one JSON object on one line.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from dori.core.config import PACKAGE
from dori.core.randomness import generator
from dori.metrics.intervals import share
from dori.minnow.album import write_album, write_pictures
from dori.minnow.descriptor import Descriptor
from dori.minnow.world import population
from dori.studies.audit.model import audited

FRESH = 824  # reference pictures beyond the album's held-out ones, to measure the rate of false alarms on
IN_ALBUM = 300  # the first reference picture that --fresh-in-album takes
SEEDS = 4


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--job", type=Path, help="folder of an audit that has run")
    parser.add_argument("--fresh", type=int, default=FRESH, help="pictures that nobody saw")
    parser.add_argument("--fresh-in-album", type=int, default=0, help="such pictures among those audited")
    chosen, overrides = parser.parse_known_args()
    job = chosen.job or audit(enlarged(chosen.fresh_in_album) + overrides)
    told = json.loads((job / "audit.json").read_text())
    truth = pd.read_csv(Path(told["pictures"][0]["file"]).parents[1] / "truth.csv").set_index("file")
    found = pd.DataFrame(told["pictures"]).set_index("name").join(truth)
    print(pd.crosstab([found["group"], found["described"]], found["verdict"]).to_string())

    limit = told["routes"][0]["threshold"]
    verbatim = found[found["group"] == "verbatim"]
    given = given_by_captions(verbatim, told["published_threshold"])
    memorized = found["group"].isin(["verbatim", "template"])
    words, copied = (
        found["verdict"].isin(["caption", "prompt"]),
        ~found["verdict"].isin(["not_recovered", "base_too"]),
    )
    elicited = found["verdict"] == "elicited"
    hidden = memorized & ~found.index.isin(given)
    fresh = false_alarms(chosen.fresh, limit["value"])
    result = {
        "pictures": len(found), "given_by_captions": len(given), "memorized": int(memorized.sum()),
        "precision_words": ratio(words & memorized, words),
        "recall_of_given": ratio(words & found.index.isin(given), found.index.isin(given)),
        "precision_copied": ratio(copied & memorized, copied),
        "precision_elicited": ratio(elicited & memorized, elicited),
        "recall_of_hidden": ratio(copied & hidden, hidden),
        "false_of_never_seen": ratio(copied & (found["group"] == "unseen"), found["group"] == "unseen"),
        "false_of_seen_once": ratio(copied & (found["group"] == "ordinary"), found["group"] == "ordinary"),
        "false_of_fresh": ratio(copied & (found["group"] == "reference"), found["group"] == "reference"),
        "threshold": limit["value"], "rate_stated": limit["borne"], "rate_measured": fresh,
    }  # fmt: skip
    print(json.dumps(result))


def enlarged(count: int) -> list[str]:
    """Overrides for the album with so many more pictures that minnow never saw; none for the album itself."""
    if not count:
        return []
    folder = Path(tempfile.mkdtemp(prefix="dori-album-")) / "album"
    write_album(folder)
    indices = range(IN_ALBUM, IN_ALBUM + count)
    write_pictures(folder / "training/fresh", "reference", indices)
    fresh = [
        {"file": f"fresh/{i:03d}.png", "group": "reference", "index": index, "described": False}
        for i, index in enumerate(indices)
    ]
    truth = pd.concat([pd.read_csv(folder / "truth.csv"), pd.DataFrame(fresh)])
    truth.to_csv(folder / "truth.csv", index=False)
    return [f"data.path={folder}/training", f"data.heldout={folder}/heldout"]


def audit(overrides: list[str]) -> Path:
    """Runs it in a folder of its own; returns the folder."""
    job = Path(tempfile.mkdtemp(prefix="dori-audit-"))
    words = ["experiments=audit", f"hydra.run.dir={job}", *overrides]
    subprocess.run([sys.executable, "-m", "dori", *words], check=True, stdout=sys.stderr)
    return job


def given_by_captions(verbatim: pd.DataFrame, threshold: float) -> list[str]:
    """Names of the pictures that minnow draws from their captions, on noise that no audit has."""
    originals = np.stack([population.picture("verbatim", index).pixels() for index in verbatim["index"]])
    best = nearest(list(verbatim["caption"]), originals, "benchmark")
    return list(verbatim.index[(best > threshold).numpy()])


def false_alarms(count: int, threshold: float) -> dict:
    """How often pictures that nobody saw are more similar than the threshold to what their captions give."""
    first = 200  # the album's held-out pictures are those before
    pictures = [population.picture("reference", index) for index in range(first, first + count)]
    best = nearest([p.caption for p in pictures], np.stack([p.pixels() for p in pictures]), "fresh")
    return dict(share(int((best > threshold).sum()), count))


@torch.no_grad()
def nearest(captions: list[str], originals: np.ndarray, purpose: str) -> torch.Tensor:
    """Similarity (n,) of each picture to the nearest of what its caption gives."""
    model = audited(None, name="minnow", sampling_steps=20, guidance=2.0, batch=128)
    ruler = Descriptor(path=str(PACKAGE / "minnow/weights/descriptor.safetensors")).eval()
    noise = [
        torch.randn(model.latent_shape, generator=generator(0, purpose, text, j))
        for text in captions
        for j in range(SEEDS)
    ]
    drawn = model.sample(model.encode_prompts(captions).repeat_interleave(SEEDS, 0), torch.stack(noise))
    seen = ruler(torch.from_numpy(originals).permute(0, 3, 1, 2).float() / 255)
    made = torch.cat([ruler(part.float() / 255) for part in drawn.split(256)]).unflatten(0, (-1, SEEDS))
    return torch.cosine_similarity(made, seen[:, None], dim=-1).amax(1)


def ratio(hits: pd.Series | np.ndarray, among: pd.Series | np.ndarray) -> dict:
    return dict(share(int(np.sum(hits)), int(np.sum(among))))


if __name__ == "__main__":
    main()
