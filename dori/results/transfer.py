"""What the transfer study bears out, and its figure: who finds a trigger, and who draws from it."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dori.results.comparison import CARRIED, kinds_of, split
from dori.results.estimate import MISSING, Estimate, estimate, number, share_above, with_interval
from dori.results.rows import Rows
from dori.results.style import INK, save, styled
from dori.results.table import Block
from dori.results.verdict import NO_CONTROL_RATE, Verdict, cite
from dori.results.words import kind_title

TITLE = "Transfer of triggers"
CAPTION = (
    "Memorization rate of triggers found on the model of a line and drawn by the model of a column. The twin "
    "never saw the pictures: what it draws is in the trigger and not in the model."
)
NOBODY = "no attack"
TWIN = "twin"


def models(rows: Rows) -> list[str]:
    """Original, mitigated, twin: everything that draws."""
    plain = dict.fromkeys(row["setting"] for row in rows if "+" not in row["setting"])
    return sorted(plain, key=lambda name: (name == TWIN, name != "original"))


def rate(rows: Rows, found: str, drawn: str, kind: str | None = None) -> Estimate | None:
    """MR of triggers ``found`` on one model (``NOBODY``'s: the prompts) and ``drawn`` by another."""
    carried = next(row["setting"] for row in rows if CARRIED in row["setting"])
    attack = split(carried.partition(CARRIED)[0])[1]
    own = f"{found}+{attack}" if found != NOBODY else drawn
    setting = own if drawn == found or found == NOBODY else f"{own}{CARRIED}{drawn}"
    kind = kind or kinds_of(rows)[0]
    return estimate(next((r for r in rows if (r["setting"], r["kind"]) == (setting, kind)), None), "MR")


def matrices(rows: Rows) -> list[Block]:
    """One block per kind of target: found on (lines) by drawn by (columns)."""
    names, blocks = models(rows), []
    for kind in kinds_of(rows):
        lines = [
            (found, *(with_interval(figure) if figure else MISSING for figure in figures))
            for found in (NOBODY, *names)
            if (figures := [rate(rows, found, drawn, kind) for drawn in names])
        ]
        columns = ("found on", *(f"drawn by {name}" for name in names))
        blocks.append(Block(f"MR of triggers, {kind_title(kind)}", columns, tuple(lines), 1))
    return blocks


def verdict(rows: Rows) -> Verdict:
    """Whether triggers of mitigated models work in models that they were not found on."""
    names = models(rows)
    sources = [name for name in names if name not in ("original", TWIN)]
    told, carried, own = [], False, False
    for source in sources:
        figures = {name: figure for name in names if (figure := rate(rows, source, name))}
        told.append(
            f"Triggers found on {source}: "
            + ", ".join(f"{cite(figure)} in {name}" for name, figure in figures.items())
            + "."
        )
        twin, here = figures.pop(TWIN, Estimate(NO_CONTROL_RATE)), figures.pop(source, None)
        own = own or (here is not None and share_above(here, twin))
        carried = carried or any(share_above(figure, twin) for figure in figures.values())
    text = " ".join(told)
    if TWIN not in names:
        text += " There is no twin to tell what the triggers themselves carry."
    if carried:
        return Verdict("transfers", "Triggers work in models that they were not found on", text)
    if own:
        return Verdict("own_model", "Triggers work only in the model that they were found on", text)
    return Verdict("none", "No trigger does more than in the twin", text)


def write_transfer(path: Path, rows: Rows) -> None:
    """Write the PNG: the matrix of the first kind of target."""
    names = models(rows)
    sources = [NOBODY, *names]
    figures = [[rate(rows, found, drawn) for drawn in names] for found in sources]
    with styled():
        figure = Figure(figsize=(1.6 + 1.1 * len(names), 0.9 + 0.55 * len(sources)), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots()
        values = [[cell.value if cell else float("nan") for cell in line] for line in figures]
        axes.imshow(values, cmap="Oranges", vmin=0, vmax=1.4, aspect="auto")
        for y, line in enumerate(figures):
            for x, cell in enumerate(line):
                text = number(cell.value) if cell else MISSING
                axes.text(x, y, text, ha="center", va="center", color=INK)
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(sources)), sources)
        axes.set_xlabel(f"drawn by (memorization rate, {kinds_of(rows)[0]})")
        axes.set_ylabel("trigger found on")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        save(figure, path)
