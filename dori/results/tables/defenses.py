"""Several defenses under several attacks: what still brings images back, and what each defense costs."""

from collections.abc import Mapping

from dori.results.reading.block import Block
from dori.results.reading.comparison import CARRIED, MEMORIZED, kinds_of, split
from dori.results.reading.estimate import MISSING, estimate, number, significant, with_interval
from dori.results.reading.rows import Rows
from dori.results.reading.words import kind_title, setting_rank
from dori.results.tables.attacks import NOBODY, attack_table
from dori.results.tables.paper import paper_table, plain, row_of, sizes
from dori.results.tables.table import thousandfold, work_cell

CONTROLS = ("unseen", "seen")
Minutes = Mapping[str, float]  # model -> how long its training took


def several(rows: Rows, minutes: Minutes | None = None) -> Block | None:
    """Defenses, attacks or mitigations side by side: the first of these tables that the rows fill."""
    return defense_table(rows, minutes) or attack_table(rows) or paper_table(rows)


def defense_table(rows: Rows, minutes: Minutes | None = None) -> Block | None:
    """One line per model, MR without an attack and under each; None without several of both.

    Displacement and work are those under the first attack, ``controls`` the highest rate that any attack
    reaches on pictures that nobody memorized. The evaluations are what making the model took, ``minutes``
    those of its training. The twin is the line to reach.
    """
    rows = [row for row in rows if CARRIED not in row["setting"]]
    pairs = [split(row["setting"]) for row in rows]
    attacks = list(dict.fromkeys(attack for _, attack in pairs if attack))
    models = sorted({base for base, _ in pairs}, key=setting_rank)
    kind = next(iter(kinds_of(rows)), None)
    defended = {row["setting"] for row in rows if row["defense"] != "none"} & set(models)
    if len(attacks) < 2 or len(defended) < 2 or kind not in MEMORIZED:
        return None
    columns = (
        "model", f"MR {NOBODY} [95 %]", *(f"MR {attack} [95 %]" for attack in attacks), "MR controls",
        "Displacement", "Work", "FID", "KID × 1,000 − original's", "A_CLIP", "denoiser evaluations",
        "training, minutes",
    )  # fmt: skip
    taken = {model: f"{value:.1f}" for model, value in (minutes or {}).items()}
    lines = tuple((*_line(rows, model, attacks, kind), taken.get(model, MISSING)) for model in models)
    return Block(f"Defenses on {kind_title(kind)} ({sizes(rows, kind)})", columns, lines, 1)


def _line(rows: Rows, model: str, attacks: list[str], kind: str) -> tuple[str, ...]:
    first = row_of(rows, f"{model}+{attacks[0]}", kind)
    ordinary = row_of(rows, model, "ordinary")
    under = [estimate(row_of(rows, f"{model}+{attack}", kind), "MR") for attack in attacks]
    found = [estimate(row_of(rows, f"{model}+{a}", control), "MR") for a in attacks for control in CONTROLS]
    controls = [figure.value for figure in found if figure]
    fid = estimate(ordinary, "FID")
    return (
        model,
        with_interval(estimate(row_of(rows, model, kind), "MR")),
        *(with_interval(figure) for figure in under),
        number(max(controls)) if controls else MISSING,
        plain(first, "Displacement", 2),
        work_cell(first),
        significant(fid.value) if fid else MISSING,
        thousandfold(ordinary, "KID_difference"),
        plain(ordinary, "A_CLIP", 3),
        _made(rows, model, kind),
    )


def _made(rows: Rows, model: str, kind: str) -> str:
    """samples through the denoiser beyond those of the original model's images, which are as many."""
    row, original = row_of(rows, model, kind), row_of(rows, "original", kind)
    if row is None or original is None:
        return MISSING
    return f"{row['denoiser_evaluations'] - original['denoiser_evaluations']:,}"
