"""``dori compare A B …``: finished jobs and multiruns side by side, with differences on the same targets."""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_uppercase

import pandas as pd

from dori.app.jobs import is_done, job_folders
from dori.app.templates import rendered
from dori.core.errors import InputError
from dori.core.files import write_atomically
from dori.metrics.differences import paired_shares
from dori.metrics.memorization_rate import THRESHOLD
from dori.results.figures.curves import name_of
from dori.results.reading.answers import apart
from dori.results.reading.block import Block
from dori.results.reading.comparison import varying
from dori.results.reading.estimate import (
    MISSING,
    Estimate,
    counted,
    estimate,
    number,
    significant,
    with_interval,
)
from dori.results.reading.rows import Row, identity, read_images, read_rows
from dori.results.reading.words import KINDS, KINDS_SHORT, kind_title, rank, setting_meaning, setting_rank
from dori.results.tables.render import csv, latex, markdown, show
from dori.results.tables.table import thousandfold
from dori.results.verdicts.questions import PAGE

FORMATS = {"markdown": markdown, "latex": latex, "csv": csv}
Hits = dict[tuple[str, str], bool]  # of each target and its prompt, whether any of its images is a copy


@dataclass(frozen=True)
class Case:
    """A row of one of the folders, which the letter ``run`` names, with what became of its targets."""

    run: str
    row: Row
    hits: Hits = field(default_factory=dict)

    @property
    def role(self) -> str:
        """What the setting is, whatever the method is called: cases of one role stand together."""
        return setting_meaning(self.row["setting"])

    def figure(self, metric: str) -> Estimate | None:
        """A metric of the case; None where it has none."""
        return estimate(self.row, metric)


FIRST = (
    "MR − first: the memorization rate less that of the first line of the same role (untouched, mitigated,"
    " attacked, twin), on the n targets that both have"
)


def command(arguments: list[str]) -> int:
    """Prints the tables, and writes them where a file is asked for. Raises InputError for other folders."""
    given = _parsed(arguments)
    named = dict(zip(ascii_uppercase, given.folders, strict=False))
    if len(named) < len(given.folders):
        raise InputError(f"{len(given.folders)} folders are too many to compare: give at most {len(named)}")
    tables = compared([case for run, folder in named.items() for case in cases_of(run, folder)])
    print("\n".join(f"{run}  {folder}" for run, folder in named.items()), end="\n\n")
    show(tables)
    print(f"{FIRST}: {PAGE}")
    for name, written in FORMATS.items():
        if path := getattr(given, name):
            write_atomically(path, written(tables))
    if given.html:
        write_atomically(given.html, html(named, tables))
    return 0


def html(runs: dict[str, Path], tables: list[Block]) -> str:
    """A page of its own, in the report's clothes."""
    return rendered("compare.html.j2", runs=runs, tables=tables, first=FIRST)


def _parsed(arguments: list[str]) -> Namespace:
    parser = ArgumentParser("dori compare", description=str(__doc__).replace("``", ""))
    parser.add_argument(
        "folders", nargs="+", type=Path, help="of jobs or multiruns; the first is compared with"
    )
    for name in (*FORMATS, "html"):
        parser.add_argument(f"--{name}", type=Path, metavar="FILE", help=f"write the tables as {name}, too")
    return parser.parse_args(arguments)


def cases_of(run: str, folder: Path) -> list[Case]:
    """The rows of a job, or of the finished jobs of a multirun; a row that several have is there once."""
    jobs = [job for job in job_folders(folder) or [folder] if is_done(job)]
    if not jobs:
        raise InputError(f"no finished job lies in {folder}: give the folder of a job or of a multirun")
    found: dict[str, Case] = {}
    for job in jobs:
        file = job / "images.parquet"  # which a study with pages of its own does not leave
        images = read_images(file) if file.exists() else None
        for row in read_rows(job / "rows.json"):
            found.setdefault(identity(row), Case(run, row, {} if images is None else hits_of(row, images)))
    return list(found.values())


def hits_of(row: Row, images: pd.DataFrame) -> Hits:
    """What became of the targets of a row; of those on which its attack failed nothing is known."""
    own = images[(images["setting"] == row["setting"]) & (images["kind"] == row["kind"])]
    for key in ("steps", "epsilon"):
        spent = row["params"].get(key)
        own = own[own[key].isna() if spent is None else own[key] == spent]
    own = own[~own["target"].isin(row.get("failed") or [])]
    threshold = row["params"].get("evaluation.threshold", THRESHOLD)
    highest = own.groupby(["target", "prompt"])["sscd_orig"].max()
    return {place: bool(similarity > threshold) for place, similarity in highest.items()}


def compared(cases: list[Case]) -> list[Block]:
    """A table for each kind of picture; within it, cases of one role stand below the first of them."""
    swept = [name for name in _swept(cases) if not name.endswith((".class", ".hash"))]
    tables = []
    for kind in sorted({case.row["kind"] for case in cases}, key=lambda kind: rank(KINDS, kind)):
        alike = [case for case in cases if case.row["kind"] == kind]
        alike.sort(key=lambda case: (setting_rank(case.row["setting"])[0], case.role))
        columns: tuple[str, ...]
        if kind == "ordinary":
            columns, cells = ("FID", "KID × 1,000", "A_CLIP", "n"), _quality
        elif any(case.figure("MR") for case in alike):
            columns, cells = ("SSCD_Orig", "MR [95 %] (n)", "MR − first [95 %] (n)"), _replication
        else:
            tables.append(_metrics(kind, alike, swept))
            continue
        lines = [(*_labels(case, swept), *cells(case, _first(case, alike))) for case in alike]
        tables.append(_block(kind, ("run", "setting", *swept, *columns), lines, 2 + len(swept)))
    return tables


def _block(kind: str, columns: tuple[str, ...], lines: list[tuple[str, ...]], labels: int) -> Block:
    return Block(kind_title(kind), columns, tuple(lines), labels, (kind, KINDS_SHORT.get(kind, "")))


def _swept(cases: Iterable[Case]) -> list[str]:
    """The parameters in which cases of one role differ."""
    return varying([{**case.row, "setting": case.role} for case in cases])


def _first(case: Case, alike: list[Case]) -> Case:
    return next(other for other in alike if other.role == case.role)


def _labels(case: Case, swept: list[str]) -> list[str]:
    return [case.run, case.row["setting"], *(name_of(case.row["params"].get(name)) for name in swept)]


def _replication(case: Case, first: Case) -> list[str]:
    mr = case.figure("MR")
    figures = (mr, None if case is first else rate_difference(case, first))
    sscd = case.figure("SSCD_Orig")
    cells = [f"{with_interval(figure)} ({counted(figure)})" if figure else MISSING for figure in figures]
    return [number(sscd.value) if sscd else MISSING, *cells]


def rate_difference(case: Case, first: Case) -> Estimate | None:
    """MR less that of another case: on the targets that both have, or, if none, as of other targets."""
    shared = sorted(case.hits.keys() & first.hits.keys())
    if shared:
        found = paired_shares([case.hits[at] for at in shared], [first.hits[at] for at in shared])
        return estimate({"metrics": {"MR": found}}, "MR")
    one, other = case.figure("MR"), first.figure("MR")
    return apart(one, other) if one and other else None


def _quality(case: Case, first: Case) -> list[str]:
    fid, clip = case.figure("FID"), case.figure("A_CLIP")
    return [
        significant(fid.value) if fid else MISSING, thousandfold(case.row, "KID"),
        number(clip.value, 3) if clip else MISSING, counted(fid or clip),
    ]  # fmt: skip


def _metrics(kind: str, alike: list[Case], swept: list[str]) -> Block:
    """What other studies measure: a line for each metric of each row."""
    found = [(case, name, case.figure(name)) for case in alike for name in case.row["metrics"]]
    lines = [
        (*_labels(case, swept), name, with_interval(figure), counted(figure))
        for case, name, figure in found if figure
    ]  # fmt: skip
    return _block(kind, ("run", "setting", *swept, "metric", "value [95 %]", "n"), lines, 3 + len(swept))
