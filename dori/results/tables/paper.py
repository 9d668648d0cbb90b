"""Several mitigations side by side, each without and with the attack: the main table of the paper."""

from dori.results.reading.block import Block
from dori.results.reading.comparison import kinds_of
from dori.results.reading.estimate import (
    MISSING,
    estimate,
    number,
    significant,
    with_deviation,
    with_interval,
)
from dori.results.reading.rows import Row, Rows
from dori.results.reading.words import kind_title, setting_rank
from dori.results.tables.table import thousandfold, work_cell

COLUMNS = (
    "setting", "SSCD_Orig", "MR [95 % interval]", "MR unseen", "MR seen", "Displacement", "A_CLIP", "FID",
    "KID × 1,000",
)  # fmt: skip


def paper_table(rows: Rows) -> Block | None:
    """One line per setting, about the first kind of target there is; None below two mitigations."""
    settings = {row["setting"] for row in rows}
    mitigations = {setting.partition("+")[0] for setting in settings} - {"original", "twin"}
    kind = next(iter(kinds_of(rows)), None)
    if len(mitigations) < 2 or kind is None:
        return None
    lines = [_line(rows, setting, kind) for setting in sorted(settings, key=setting_rank)]
    columns: tuple[str, ...] = COLUMNS
    if any("Work" in row["metrics"] for row in rows):
        columns = (*COLUMNS, "Work")
        lines = [(*line, work_cell(row_of(rows, line[0], kind))) for line in lines]
    return Block(
        f"{kind_title(kind)} ({sizes(rows, kind)}), with and without the attack", columns, tuple(lines), 1
    )


def _line(rows: Rows, setting: str, kind: str) -> tuple[str, ...]:
    row, ordinary = row_of(rows, setting, kind), row_of(rows, setting, "ordinary")
    controls = [estimate(row_of(rows, setting, control), "MR") for control in ("unseen", "seen")]
    fid = estimate(ordinary, "FID")
    return (
        setting,
        with_deviation(estimate(row, "SSCD_Orig")),
        with_interval(estimate(row, "MR")),
        *(number(figure.value) if figure else MISSING for figure in controls),
        plain(row, "Displacement", 2),
        plain(row, "A_CLIP", 3),
        significant(fid.value) if fid else MISSING,
        thousandfold(ordinary, "KID"),
    )


def sizes(rows: Rows, kind: str) -> str:
    """``n = 32``, or all that there are where rows differ."""
    n = {f.n for row in rows if row["kind"] == kind and (f := estimate(row, "MR"))}
    return f"n = {', '.join(str(count) for count in sorted(c for c in n if c))}"


def row_of(rows: Rows, setting: str, kind: str) -> Row | None:
    """The first row of a setting and kind."""
    return next((row for row in rows if row["setting"] == setting and row["kind"] == kind), None)


def plain(row: Row | None, metric: str, digits: int) -> str:
    """A figure without its interval, as the paper's tables have it."""
    figure = estimate(row, metric)
    return number(figure.value, digits) if figure else MISSING
