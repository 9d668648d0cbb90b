"""The table of a multirun: one line per study, memorization beside its counterfactuals and FID."""

from dori.results.figures.curves import name_of
from dori.results.reading.block import Block
from dori.results.reading.comparison import Comparison, comparisons, varying
from dori.results.reading.estimate import MISSING, counted, significant, with_interval
from dori.results.reading.rows import Rows


def sweep(rows: Rows, x: str | None = None) -> Block:
    """One line per comparison: MR before and after the attack, beside its counterfactuals, and FID.

    ``x``: the parameter that leads; default, all that differ between the rows.
    """
    names = sorted(varying(rows), key=lambda name: name != x)
    found = sorted(comparisons(rows), key=lambda c: [_sortable(c.params.get(name)) for name in names])
    heads = ("setting", *names, "mitigated", "attacked", "twin, attacked", "controls, attacked*", "FID")
    lines = [
        (c.attacked or c.mitigation, *(name_of(c.params.get(name)) for name in names), *_sweep_cells(c))
        for c in found
    ]
    return Block(_sweep_title(found), heads, tuple(lines), labels=1 + len(names))


def _sweep_title(found: list[Comparison]) -> str:
    targets = {counted(c.figure(c.mitigation, "MR")) for c in found}
    drawn = {counted(c.figure(c.mitigation, "FID", "ordinary")) for c in found}
    kinds = "/".join(sorted({c.kind for c in found}))
    return (
        f"MR [95 % interval] of {kinds} targets (n = {'/'.join(sorted(targets))}), "
        f"FID (n = {'/'.join(sorted(drawn))}); *the higher of seen and unseen"
    )


def _sweep_cells(c: Comparison) -> list[str]:
    controls = [c.figure(c.attacked, "MR", kind) for kind in ("seen", "unseen")]
    highest = max((figure for figure in controls if figure), key=lambda f: f.value, default=None)
    figures = [c.figure(setting, "MR") for setting in (c.mitigation, c.attacked, c.attacked_twin)]
    fid = c.figure(c.mitigation, "FID", "ordinary")
    return [
        *(with_interval(figure) for figure in (*figures, highest)),
        significant(fid.value) if fid else MISSING,
    ]


def _sortable(value: object) -> tuple[int, float, str]:
    if isinstance(value, int | float):
        return (0, float(value), "")
    return (1, 0.0, str(value))
