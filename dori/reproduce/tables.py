"""What an entry shows of its runs, in Markdown: one function for each word of ``show``."""

import json
import os
from pathlib import Path

import pandas as pd
import torch

from dori.minnow.scenes import student
from dori.reproduce.entries import Entry
from dori.reproduce.runs import OUTPUT, Runs
from dori.results.reading.block import Block
from dori.results.reading.estimate import estimate, with_interval
from dori.results.reading.rows import Row, read_rows
from dori.results.tables.render import markdown

RATES = (  # of the main job: title, setting, kind
    ("original", "original", "verbatim"), ("random", "random", "verbatim"), ("Wanda", "wanda", "verbatim"),
    ("Wanda + DoRI", "wanda+dori", "verbatim"), ("twin + DoRI", "twin+dori", "verbatim"),
    ("unseen + DoRI", "wanda+dori", "unseen"), ("seen + DoRI", "wanda+dori", "seen"),
)  # fmt: skip

SAID = {
    "original": "the model as it came, given the caption",
    "Wanda": "the model after pruning, given the caption",
    "Wanda + DoRI": "the pruned model, given an embedding that was optimised towards the picture",
    "twin + DoRI": "the same attack on a model that never saw these pictures: it cannot recall them",
    "unseen + DoRI": "the same attack for pictures that no model saw: what comes back is injected",
}


def table(entry: Entry, runs: Runs) -> str:
    """What the run printed; its links to the docs are relative to the page."""
    docs = os.path.relpath("docs", Path(entry.page).parent)
    return (runs.folder(entry.runs[0]) / "table.md").read_text().replace("](docs/", f"]({docs}/")


def beside(entry: Entry, runs: Runs) -> str:
    """The memorization rates of several main jobs, a line each, and how much their pruning costs in FID."""
    lines = []
    for name in entry.runs:
        rows = read_rows(runs.folder(name) / "rows.json")
        cells = [_figure(rows, setting, kind, "MR") for _, setting, kind in RATES]
        ratio = _figure(rows, "wanda", "ordinary", "FID_ratio")
        lines.append([f"`{runs.told(name)['command']}`", *cells, ratio])
    return _markdown(["job", *(title for title, _, _ in RATES), "FID, times the original's"], lines)


def rates(entry: Entry, runs: Runs) -> str:
    """The memorization rates of a main job, with what its settings are."""
    rows = read_rows(runs.folder(entry.runs[0]) / "rows.json")
    lines = [
        [f"**{title}**", SAID[title], _figure(rows, setting, kind, "MR")]
        for title, setting, kind in RATES
        if title in SAID
    ]
    return _markdown(["setting", "what it is", "MR"], lines, labels=2)


def rulers(entry: Entry, runs: Runs) -> str:
    """How two copy detectors agree on the pictures of two jobs that differ in nothing else, by setting."""
    first, second = (_pictures(runs.folder(name)) for name in entry.runs)
    both = first.join(second, lsuffix="_mine", rsuffix="_theirs").dropna().reset_index()
    parts = [*both.groupby("setting", sort=False), ("all", both)]
    lines = []
    for setting, some in parts:
        mine, theirs = (torch.tensor(some[f"sscd_orig_{whose}"].to_numpy()) for whose in ("mine", "theirs"))
        found = student.agreement(mine, theirs)
        shares = [f"{100 * found[key]:.1f} %" for key in ("agree", "lenient", "strict")]
        lines.append([str(setting), f"{found['n']:,}", f"{found['correlation']:.3f}", *shares])
    head = [
        "setting",
        "pictures",
        "correlation",
        "agree on a copy",
        "copy by the first alone",
        "by the second",
    ]
    return _markdown(head, lines)


def benchmark(entry: Entry, runs: Runs) -> str:
    """The last line of a script in ``benchmarks``, an object of figures."""
    found = json.loads((runs.folder(entry.runs[0]) / OUTPUT).read_text().strip().splitlines()[-1])
    lines = [[key.replace("_", " "), json.dumps(value)] for key, value in found.items()]
    return _markdown(["figure", "value"], lines)


def answers(entry: Entry, runs: Runs) -> str:
    """The first verdict that each run told."""
    lines = []
    for name in entry.runs:
        told = (runs.folder(name) / "table.md").read_text().splitlines()
        verdict = next((line.removeprefix("> ") for line in told if line.startswith("> ")), "–")
        lines.append([f"`{runs.told(name)['command']}`", verdict])
    return _markdown(["job", "what dori says"], lines)


def _pictures(folder: Path) -> pd.DataFrame:
    images = pd.read_parquet(folder / "images.parquet")
    images = images[images["kind"] != "ordinary"]
    return images.set_index(["setting", "kind", "target", "seed", "restart", "steps"])[["sscd_orig"]]


def _figure(rows: list[Row], setting: str, kind: str, metric: str) -> str:
    found = next((row for row in rows if (row["setting"], row["kind"]) == (setting, kind)), None)
    return with_interval(estimate(found, metric)) if found else "–"


def _markdown(head: list[str], lines: list[list[str]], labels: int = 1) -> str:
    return markdown([Block("", tuple(head), tuple(tuple(line) for line in lines), labels)])
