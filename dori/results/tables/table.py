"""The table of a run, as in the paper: what each setting does to each kind of picture.

A ``Block`` holds text that is ready to print; :mod:`dori.results.tables.render` sets it in the
terminal, in Markdown and in LaTeX, and the report in HTML.
"""

import json
from collections.abc import Sequence
from dataclasses import replace

from dori.results.figures.curves import name_of
from dori.results.reading.block import Block
from dori.results.reading.comparison import MEMORIZED, own_metrics, varying
from dori.results.reading.estimate import (
    MISSING,
    Estimate,
    counted,
    decimals,
    estimate,
    number,
    significant,
    with_deviation,
    with_interval,
)
from dori.results.reading.rows import Row, Rows
from dori.results.reading.words import (
    KINDS,
    KINDS_SHORT,
    SUITE,
    kind_title,
    rank,
    setting_meaning,
    setting_rank,
)

HALVES = ("development", "held_out")


def blocks(rows: Rows) -> list[Block]:
    """One block per kind of target, then one for the quality on ordinary captions, and one for each suite."""
    rows = [row for row in rows if row["kind"] in KINDS or row["kind"].startswith(SUITE)]
    swept = varying(rows)
    framed = any(estimate(row, "SSCD_Frame") for row in rows)
    kinds = sorted({row["kind"] for row in rows}, key=lambda kind: rank(KINDS, kind))
    found = []
    for kind in kinds:
        members = [row for row in rows if row["kind"] == kind]
        members.sort(key=lambda row: setting_rank(row["setting"]))
        if kind == "ordinary":
            found.append(_quality(kind, members, swept))
        elif kind.startswith(SUITE):
            found.append(_suite(kind, members, swept))
        else:
            found.append(_targets(kind, members, swept, framed))
    return found


def rates(rows: Rows, metrics: Sequence[str]) -> list[Block]:
    """One block per kind of target: the shares that a study measures, each with its interval and n."""
    swept = varying(rows)
    columns = ("setting", "", *swept, *(f"{name} [95 %] (n)" for name in metrics))
    found = []
    for kind in sorted({row["kind"] for row in rows}, key=lambda kind: rank(KINDS, kind)):
        members = [row for row in rows if row["kind"] == kind]
        members.sort(key=lambda row: setting_rank(row["setting"]))
        lines = []
        for row in _distinct(members):
            figures = [estimate(row, name) for name in metrics]
            cells = [f"{with_interval(f)} ({counted(f)})" if f else MISSING for f in figures]
            lines.append((*_labels(row, members, swept), *cells))
        found.append(_block(kind, columns, lines, 2 + len(swept)))
    return found


def halves(rows: Rows) -> Block | None:
    """MR on the half of the targets that choices were made on, and on the half they were not."""
    lines = []
    for row in sorted(rows, key=lambda row: (rank(KINDS, row["kind"]), setting_rank(row["setting"]))):
        figures = [estimate(row, f"MR/{half}") for half in HALVES]
        if row["kind"] in MEMORIZED and all(figures):
            cells = [f"{with_interval(figure)}  n = {counted(figure)}" for figure in figures]
            lines.append((kind_title(row["kind"]), row["setting"], *cells))
    columns = ("images", "setting", "MR, development half", "MR, held-out half")
    return Block("The two halves of the memorized targets", columns, tuple(lines)) if lines else None


def _targets(kind: str, rows: list[Row], swept: list[str], framed: bool) -> Block:
    columns = ["SSCD_Orig", "MR [95 % interval]", "one image", "Displacement", "n"]
    worked = any("Work" in row["metrics"] for row in rows)
    lines = []
    own = own_metrics(rows)
    for row in _distinct(rows):
        sscd, mr = estimate(row, "SSCD_Orig"), estimate(row, "MR")
        one = _plain(row, "MR_one")
        cells = [with_deviation(sscd), with_interval(mr), one, _plain(row, "Displacement"), _count(row, mr)]
        if framed:
            cells.insert(1, with_deviation(estimate(row, "SSCD_Frame")))
        if worked:
            cells.insert(-1, work_cell(row))
        cells[-1:-1] = [with_interval(estimate(row, name)) for name in own]
        lines.append((*_labels(row, rows, swept), *cells))
    if framed:
        columns.insert(1, "SSCD_Frame")
    if worked:
        columns.insert(-1, "Work")
    columns[-1:-1] = own
    return _block(kind, ("setting", "", *swept, *columns), lines, 2 + len(swept))


def _quality(kind: str, rows: list[Row], swept: list[str]) -> Block:
    lines, own = [], own_metrics(rows)
    for row in _distinct(rows):
        cells = [
            significant(fid.value) if (fid := estimate(row, "FID")) else MISSING,
            thousandfold(row, "KID"),
            thousandfold(row, "KID_difference"),
            _plain(row, "A_CLIP", 3),
            *(with_interval(estimate(row, name)) for name in own),
            _count(row, fid or estimate(row, "A_CLIP")),
        ]
        lines.append((*_labels(row, rows, swept), *cells))
    columns = ("FID", "KID × 1,000", "× 1,000 − original's", "A_CLIP", *own, "n")
    block = _block(kind, ("setting", "", *swept, *columns), lines, 2 + len(swept))
    return replace(block, title=f"{block.title}{_network(rows)}")


def _suite(kind: str, rows: list[Row], swept: list[str]) -> Block:
    """What a suite of ``evaluation.quality`` gives; its parts (``HPSv3/Animals``) are in ``rows.json``."""
    names = list(dict.fromkeys(name for row in rows for name in row["metrics"] if "/" not in name))
    lines = []
    for row in _distinct(rows):
        figures = [estimate(row, name) for name in names]
        cells = [with_interval(figure, decimals(figure.value)) if figure else MISSING for figure in figures]
        lines.append((*_labels(row, rows, swept), *cells, counted(next(filter(None, figures), None))))
    return _block(kind, ("setting", "", *swept, *names, "n"), lines, 2 + len(swept))


def _block(kind: str, columns: tuple[str, ...], lines: list[tuple[str, ...]], labels: int) -> Block:
    return Block(kind_title(kind), columns, tuple(lines), labels, (kind, KINDS_SHORT.get(kind, "")))


def _distinct(rows: list[Row]) -> list[Row]:
    """A setting that comes out the same all over a sweep (such as ``original``) stands there once."""
    found: dict[str, Row] = {}
    for row in rows:
        found.setdefault(json.dumps([row["setting"], row["model"], row["metrics"]], sort_keys=True), row)
    return list(found.values())


def _labels(row: Row, rows: list[Row], swept: list[str]) -> list[str]:
    alike = [r for r in rows if r["setting"] == row["setting"] and r["metrics"] == row["metrics"]]
    return [row["setting"], setting_meaning(row["setting"]), *(_swept(name, alike, rows) for name in swept)]


def _swept(name: str, alike: list[Row], rows: list[Row]) -> str:
    """The value that a line stands for; a dash where the parameter does not concern its setting."""
    values = {name_of(row["params"].get(name)) for row in alike}
    everywhere = [row["params"].get(name) for row in rows if row["setting"] == alike[0]["setting"]]
    if all(value is None for value in everywhere):
        return MISSING
    return values.pop() if len(values) == 1 else "any"


def thousandfold(row: Row | None, metric: str) -> str:
    """KID, which is small, times 1,000, with its interval."""
    figure = estimate(row, metric)
    return with_interval(figure.scaled(1000)) if figure else MISSING


def _network(rows: list[Row]) -> str:
    """What FID and KID are features of, and what they are of equal distributions."""
    of = next((row["features"] for row in rows if row.get("features")), None)
    floor = next((figure for row in rows if (figure := estimate(row, "FID_floor"))), None)
    told = [f"features: {of}"] if of else []
    told += [f"floor of FID {significant(floor.value)}, of KID 0"] if floor else []
    return f" ({'; '.join(told)})" if told else ""


def _plain(row: Row, metric: str, digits: int = 2) -> str:
    figure = estimate(row, metric)
    return number(figure.value, digits) if figure else MISSING


def work_cell(row: Row | None) -> str:
    """Median work ``160 [80, 240]``; what the budget did not reach is written ``> 400``."""
    entry = (row or {}).get("metrics", {}).get("Work")
    if not entry or not entry["survival"]:
        return MISSING
    beyond = f"> {entry['survival'][-1][0]:,.0f}"
    value, low, high = (
        beyond if entry[part] is None else f"{entry[part]:,.0f}" for part in ("value", "low", "high")
    )
    return value if low == high == beyond else f"{value} [{low}, {high}]"


def _count(row: Row, figure: Estimate | None) -> str:
    failed = len(row.get("failed") or ())
    return f"{counted(figure)} ({failed} failed)" if failed else counted(figure)
