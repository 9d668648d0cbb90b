"""Several attacks side by side: what each brings back, where there is nothing to recall, at what work."""

from dori.results.reading.block import Block
from dori.results.reading.comparison import CARRIED, MEMORIZED, kinds_of, split
from dori.results.reading.estimate import MISSING, estimate, number, with_interval
from dori.results.reading.rows import Row, Rows
from dori.results.reading.words import kind_title, setting_rank
from dori.results.tables.paper import row_of, sizes
from dori.results.tables.table import work_cell

NOBODY = "no attack"


def attack_table(rows: Rows) -> Block | None:
    """One line per attack, MR under each mitigation and in the twin; None below two attacks.

    Controls, displacement and work stand for each mitigation in turn, in the order of the columns.
    """
    rows = [row for row in rows if CARRIED not in row["setting"]]
    pairs = [split(row["setting"]) for row in rows]
    attacks = list(dict.fromkeys(attack for _, attack in pairs if attack))
    kind = next(iter(kinds_of(rows)), None)
    if len(attacks) < 2 or kind not in MEMORIZED:
        return None
    attacked = dict.fromkeys(base for base, attack in pairs if attack)
    bases = sorted(attacked, key=setting_rank)
    controlled = [base for base in bases if base != "twin"]
    columns = (
        "attack", *(f"MR {base} [95 %]" for base in bases),
        *(f"MR {control}" for control in ("unseen", "seen")), "Displacement",
        "median work", "gradients", "forwards",
    )  # fmt: skip
    lines = tuple(_line(rows, attack, kind, bases, controlled) for attack in ("", *attacks))
    title = f"Attacks on {kind_title(kind)} ({sizes(rows, kind)}); after {' / '.join(controlled)}, per target"
    return Block(title, columns, lines, 1)


def _line(rows: Rows, attack: str, kind: str, bases: list[str], controlled: list[str]) -> tuple[str, ...]:
    def row(base: str, of: str) -> Row | None:
        return row_of(rows, f"{base}+{attack}" if attack else base, of)

    def each(metric: str, of: str, digits: int = 2) -> str:
        figures = [estimate(row(base, of), metric) for base in controlled]
        return " / ".join(number(figure.value, digits) if figure else MISSING for figure in figures)

    return (
        attack or NOBODY,
        *(with_interval(estimate(row(base, kind), "MR")) for base in bases),
        each("MR", "unseen"),
        each("MR", "seen"),
        each("Displacement", kind) if attack else MISSING,
        " / ".join(work_cell(row(base, kind)) for base in controlled) if attack else MISSING,
        *_spent(row(controlled[0], kind)),
    )


def _spent(row: Row | None) -> tuple[str, str]:
    """Gradient evaluations, and other samples of a target: the attack's, its images', the mask's."""
    figure = estimate(row, "MR")
    if row is None or not figure or not figure.n:
        return MISSING, MISSING
    return f"{row['gradient_evaluations'] / figure.n:,.0f}", f"{row['denoiser_evaluations'] / figure.n:,.0f}"
