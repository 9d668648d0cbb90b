"""``report.html``: one file that opens anywhere, with everything that a reader of a run needs."""

import base64
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from dori.app.findings import findings
from dori.app.templates import rendered
from dori.core.files import write_atomically
from dori.results.figures.curves import label_of
from dori.results.reading.block import Block
from dori.results.reading.comparison import Comparison, varying
from dori.results.reading.defects import defects
from dori.results.reading.estimate import number
from dori.results.reading.measured import measured_with
from dori.results.reading.rows import Rows
from dori.results.reading.words import (
    ANSWERS_EXPLAINED,
    KINDS,
    KINDS_EXPLAINED,
    METRICS_EXPLAINED,
    SUITE,
    settings_explained,
)
from dori.results.tables.defenses import several
from dori.results.tables.sweep import sweep
from dori.results.tables.table import blocks, halves
from dori.results.verdicts.memory import verdicts
from dori.results.verdicts.removal import removals

PACKAGES = ("dori", "torch", "diffusers", "transformers", "lightning")
CAPTIONS = {
    "grid.png": ("The pictures", "The first targets of each kind, not chosen by their result."),
    "training.png": (
        "The training, epoch by epoch",
        "The first targets under the attack that watches the training, on the averaged weights.",
    ),
    "sscd.png": (
        "Similarity, prompt by prompt",
        "One dot per prompt: the highest SSCD over its seeds. Filled dots are copies, the bar is the "
        "median, the figures at the right count copies.",
    ),
    "sweep.png": (
        "The curve",
        "Bands are 95 % intervals. Dashed lines are where there is nothing to recall: what they reach, "
        "the attack injects.",
    ),
}


def write_report(
    path: Path, rows: Rows, images: pd.DataFrame, targets: Sequence[Mapping[str, Any]],
    stages: Sequence[Mapping[str, Any]], config: Mapping[str, Any],
) -> None:  # fmt: skip
    """Write the report of one job. The figures are read from beside ``path``.

    ``stages``: name, seconds, cached, denoiser_evaluations, gradient_evaluations of each; of the one that
    measured the training images, ``ruler``: the copy detector's name.
    """
    found = verdicts(rows)
    counts = pd.Series([target["kind"] for target in targets]).value_counts()
    told = ", ".join(f"{counts[kind]} {kind}" for kind in KINDS if kind in counts)
    seeds = images["seed"].nunique()
    ruler = next((f"; copies are judged by {s['ruler']}" for s in stages if "ruler" in s), "")
    _write(
        path, rows,
        title=_title(rows, [c for c, _ in found]),
        subtitle=f"{told} targets; {seeds} images per prompt, {len(images):,} images in all{ruler}",
        verdicts=[(c.attacked, verdict) for c, verdict in found],
        steps=_steps(found[0][0]) if len(found) == 1 else [],
        figures=_figures(path.parent, CAPTIONS, ("grid.png", "training.png", "sscd.png")),
        halves=halves(rows), stages=stages,
        config=yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True),
    )  # fmt: skip


def write_sweep_report(
    path: Path, rows: Rows, x: str | None, problems: Sequence[str], minutes: Mapping[str, float] | None = None
) -> None:
    """Write the report of a whole sweep; ``sweep.png`` is read from beside ``path``.

    ``minutes``: of the training of each model that was trained.
    """
    names = varying(rows)
    found = verdicts(rows)
    table = sweep(rows, x) if names and blocks(rows) else several(rows, minutes)
    _write(
        path, rows, x,
        title=f"{_title(rows, [c for c, _ in found])} over {', '.join(names) or 'one setting'}",
        subtitle=f"{len(found)} studies, merged" + ("; incomplete: jobs are missing" if problems else ""),
        verdicts=[*removals(rows), *((label_of(c, names), verdict) for c, verdict in found)],
        figures=_figures(path.parent, CAPTIONS, ("sweep.png",)),
        swept=[table] if table else [],
        problems=problems,
    )  # fmt: skip


def _write(path: Path, rows: Rows, x: str | None = None, **parts: Any) -> None:
    tables, found = blocks(rows), findings(rows, x)
    captions = {finding.file: (finding.title, finding.caption) for finding in found}
    defaults: dict[str, Any] = {
        "steps": [], "problems": [], "swept": [], "halves": None, "stages": [], "config": "",
    }  # fmt: skip
    present = {name: text for name, text in KINDS_EXPLAINED.items() if any(r["kind"] == name for r in rows)}
    text = rendered(
        "report.html.j2",
        **defaults | parts,
        targets=[block for block in tables if not _is_of_quality(block)],
        quality=[block for block in tables if _is_of_quality(block)],
        defects=defects(rows),
        failed=[(r["setting"], r["kind"], r["failed"]) for r in rows if r.get("failed")],
        answers=[(each, _figures(path.parent, captions, [each.file])) for each in found if each.answers],
        beside=[(each, _figures(path.parent, captions, [each.file])) for each in found if not each.answers],
        glossary=[
            ANSWERS_EXPLAINED,
            settings_explained(row["setting"] for row in rows),
            present,
            METRICS_EXPLAINED,
            *(finding.words for finding in found),
        ],
        weights="; ".join(dict.fromkeys(filter(None, (measured_with(row["params"]) for row in rows)))),
        versions=_versions(),
    )
    write_atomically(path, text)


def _is_of_quality(block: Block) -> bool:
    return block.head[0] == "ordinary" or block.head[0].startswith(SUITE)


def _title(rows: Rows, found: Sequence[Comparison]) -> str:
    models = dict.fromkeys(row["model"] for row in rows if not row["setting"].startswith("twin"))
    settings = dict.fromkeys(c.attacked or c.mitigation for c in found)
    return f"{', '.join(models)}: {', '.join(name.replace('+', ' + ') for name in settings)}"


def _steps(c: Comparison) -> list[dict[str, Any]]:
    """The four rates that the verdict rests on, with their intervals as per cent of a bar."""
    steps = {
        "original model": "original", f"after {c.mitigation}": c.mitigation,
        f"{c.mitigation}, attacked": c.attacked, "clean twin, attacked": c.attacked_twin,
    }  # fmt: skip
    found = []
    for label, setting in steps.items():
        figure = c.figure(setting, "MR")
        if figure is None or label == "after original":
            continue
        low = figure.value if figure.low is None else figure.low
        interval = f"{number(figure.low)} to {number(figure.high)}"
        found.append({
            "label": label, "value": number(figure.value), "low": f"{100 * low:.1f}",
            "width": f"{100 * figure.width:.1f}", "at": f"{100 * figure.value:.1f}",
            "interval": interval, "n": figure.n,
        })  # fmt: skip
    return found


def _figures(
    folder: Path, captions: Mapping[str, tuple[str, str]], names: Sequence[str]
) -> list[dict[str, str]]:
    found = []
    for name in names:
        if (folder / name).is_file():
            data = base64.b64encode((folder / name).read_bytes()).decode()
            title, caption = captions[name]
            found.append({"title": title, "caption": caption, "data": f"data:image/png;base64,{data}"})
    return found


def _versions() -> str:
    found = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:  # run from a checkout that was never installed
            continue
    return ", ".join(found)
