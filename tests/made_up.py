"""Made-up results in the shape of a real run. No figure in here was ever measured."""

from collections.abc import Callable
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dori.metrics.differences import Pairs, paired_difference

COUNT = {"verbatim": 48, "template": 16, "seen": 48, "unseen": 48}
HITS = {  # of COUNT, per setting
    "original": {"verbatim": 47, "template": 3, "seen": 1, "unseen": 0},
    "random": {"verbatim": 44, "template": 2, "seen": 1, "unseen": 0},
    "wanda": {"verbatim": 5, "template": 0, "seen": 0, "unseen": 0},
    "wanda+dori": {"verbatim": 33, "template": 1, "seen": 2, "unseen": 1},
    "twin": {"verbatim": 0, "template": 0},
    "twin+dori": {"verbatim": 2, "template": 0},
}
SIMILARITY = {"original": 0.93, "random": 0.88, "wanda": 0.36, "wanda+dori": 0.81}
FID = {"original": 18.4, "random": 19.9, "wanda": 23.7}
PARAMS = {
    "study": "mitigation", "study.class": "dori.studies.mitigation.study.mitigation",
    "steps": 50, "epsilon": None, "constraint": "none", "start": "prompt", "restarts": 1,
    "ratio": 0.05, "images_per_prompt": 4, "sampling_steps": 20, "guidance": 2.0, "seed": 0,
}  # fmt: skip


def share(hits: int, n: int) -> dict[str, Any]:
    """A rate with Wilson's interval: near enough to Clopper and Pearson's for made-up numbers."""
    p, z = hits / n, 1.96
    centre, half = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    low, high = ((centre + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    return {"value": p, "low": max(low, 0.0), "high": min(high, 1.0), "n": n}


def paired(hits: int, other: int, n: int) -> dict[str, Any]:
    """The difference of two settings on the same prompts, the fewer hits among the more."""
    both = min(hits, other)
    return dict(paired_difference(Pairs(both, hits - both, other - both, n - max(hits, other))))


def add_differences(rows: list[dict[str, Any]], rate: str = "MR") -> list[dict[str, Any]]:
    """To rows of one choice of params what a study adds: each setting's rate less that of others."""
    known = {(row["setting"], row["kind"]): row["metrics"].get(rate) for row in rows}

    def add(row: dict[str, Any], name: str, other: str) -> None:
        mine, theirs = row["metrics"].get(rate), known.get((other, row["kind"]))
        if mine and theirs and row["setting"] != other:
            counts = (round(figure["value"] * figure["n"]) for figure in (mine, theirs))
            row["metrics"][f"{rate}_{name}"] = paired(*counts, mine["n"])

    for row in rows:
        base, _, attack = row["setting"].partition("+")
        add(row, "difference", base if attack else "original")
        if attack:
            _, carried, _ = attack.partition(">")
            add(row, "over_carried", f"{row['setting']}>twin")
            add(row, "over_twin", f"{base}+{attack.split('>')[0]}>twin" if carried else f"twin+{attack}")
        elif base not in ("original", "twin"):
            add(row, "over_random", "random")
    return rows


def median(value: float, n: int, mad: float = 0.05) -> dict[str, Any]:
    return {"value": value, "low": value - mad / 2, "high": value + mad / 2, "n": n, "mad": mad}


def target_row(setting: str, kind: str, hits: int, n: int, **params: Any) -> dict[str, Any]:
    attack = setting.partition("+")[2]
    level = SIMILARITY.get(setting, 0.33) if kind in ("verbatim", "template") else 0.31
    metrics = {"MR": share(hits, n), "SSCD_Orig": median(level, n), "A_CLIP": median(0.29, n)}
    metrics["MR/development"] = share(hits // 2, n // 2)
    metrics["MR/held_out"] = share(hits - hits // 2, n - n // 2)
    if kind == "template":
        metrics["SSCD_Orig"], metrics["SSCD_Frame"] = median(0.55 * level, n), median(level, n)
    if attack:
        metrics["Displacement"] = median(0.84, n)
    return {
        "setting": setting, "kind": kind, "model": "minnow", "pruning": "wanda", "defense": "none",
        "attack": attack or "none", "params": PARAMS | params, "metrics": metrics, "failed": [],
        "fingerprint": "f00d", "denoiser_evaluations": 7680, "gradient_evaluations": 400 * n if attack else 0,
    }  # fmt: skip


def ordinary_row(setting: str, fid: float, n: int = 1000, **params: Any) -> dict[str, Any]:
    row = target_row(setting, "ordinary", 0, n, **params)
    difference = {"value": 0.004, "low": -0.001, "high": 0.009, "n": n}
    row["metrics"] = {
        "FID": {"value": fid, "low": fid - 1, "high": fid + 1, "n": n},
        "KID": {"value": fid / 1000, "low": fid / 2000, "high": fid / 700, "n": n},
        "A_CLIP": median(0.305, n),
    } | ({} if setting == "original" else {"KID_difference": difference})
    return row


@pytest.fixture
def make_rows() -> Callable[..., list[dict[str, Any]]]:
    """``make_rows(hits={setting: {kind: hits}}, fid={setting: FID}, n={kind: n}, **params)``."""

    def make(
        hits: dict[str, dict[str, int]] = HITS,
        fid: dict[str, float] = FID,
        n: dict[str, int] = COUNT,
        **params: Any,
    ) -> list[dict[str, Any]]:
        rows = [
            target_row(setting, kind, count, n[kind], **params)
            for setting, kinds in hits.items()
            for kind, count in kinds.items()
        ]
        return add_differences(rows) + [
            ordinary_row(setting, value, **params) for setting, value in fid.items()
        ]

    return make


@pytest.fixture
def rows(make_rows: Callable[..., list[dict[str, Any]]]) -> list[dict[str, Any]]:
    return make_rows()


@pytest.fixture
def targets() -> list[dict[str, Any]]:
    ramp = np.add.outer(np.arange(64), np.arange(64))
    return [
        {
            "name": f"{kind}/{index:03d}",
            "prompt": f"amber harbor {kind} {index}: a large red ring on a teal striped background",
            "kind": kind,
            "image": np.stack([ramp, 2 * ramp % 256, np.full_like(ramp, 90 * index)], -1).astype(np.uint8),
        }
        for kind in ("verbatim", "template", "seen", "unseen")
        for index in range(2)
    ]


@pytest.fixture
def images(targets: list[dict[str, Any]], tmp_path: Path) -> pd.DataFrame:
    """Two seeds per target and setting; more grey, the less a setting replicates."""
    records = []
    for setting, kinds in HITS.items():
        for target in (t for t in targets if t["kind"] in kinds):
            level = SIMILARITY.get(setting, 0.33) if target["kind"] in ("verbatim",) else 0.3
            for seed in range(2):
                file = tmp_path / "images" / f"{setting}_{target['name'].replace('/', '_')}_{seed}.png"
                file.parent.mkdir(exist_ok=True)
                mixed = level * target["image"] + (1 - level) * 128
                Image.fromarray(mixed.astype(np.uint8)).save(file)
                framed = target["kind"] == "template"
                records.append({
                    "setting": setting, "kind": target["kind"], "target": target["name"],
                    "prompt": target["prompt"], "seed": seed, "sscd_orig": level - 0.1 * seed,
                    "sscd_gen": 0.5, "sscd_frame": level if framed else np.nan, "a_clip": 0.3,
                    "file": str(file),
                })  # fmt: skip
    return pd.DataFrame(records)
