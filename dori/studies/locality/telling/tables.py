"""The tables of the locality study: every figure with its interval, and n."""

from dori.results.reading.block import Block
from dori.results.reading.estimate import MISSING, counted, estimate, number, significant, with_interval
from dori.results.reading.rows import Row, Rows
from dori.studies.locality.telling.rows import cuts

SIZES = ("Selected", "Weights", "FID")  # shown without an interval, as these shares are
SHARES = ("IoU_chance", "IoU_different", "Empty")
COLUMNS = {
    "embeddings": {"L2": "L2", "cosine": "Cosine", "L2 per token": "Token_L2"},
    "activations": {"L2 by the layer's size": "Relative_L2"},
    "weights": {
        "IoU": "IoU", "with empty pairs as 1": "IoU_with_empty", "chance": "IoU_chance",
        "both empty": "Empty", "selected": "Selected",
    },
    "criteria": {
        "IoU, values": "IoU/values", "different": "IoU_different/values", "chance": "IoU_chance/values",
        "IoU, feed-forward": "IoU/feed_forward", "different ": "IoU_different/feed_forward",
        "chance ": "IoU_chance/feed_forward",
    },
}  # fmt: skip


def tables(rows: Rows, kind: str) -> list[Block]:
    """Those that belong to the verdict on a kind of rows."""
    members = [row for row in rows if row["kind"] == kind]
    if kind == "cuts":
        return [_cuts(members)] if members else []
    found = [_table(members, COLUMNS[kind], kind)] if members else []
    if kind == "embeddings" and (lines := [row for row in rows if row["kind"] == "path"]):
        at = {f"MR at {name.split('/')[1]}": name for name in lines[0]["metrics"] if name.startswith("MR/")}
        found.append(_table(lines, at, "on the line"))
    if kind == "weights" and (criteria := [row for row in rows if row["kind"] == "criteria"]):
        found.append(_table(criteria, COLUMNS["criteria"], "criteria at equal count"))
    return found


def _table(rows: Rows, columns: dict[str, str], title: str) -> Block:
    lines = []
    for row in rows:
        counts = [estimate(row, metric) for metric in columns.values()]
        n = next((counted(figure) for figure in counts if figure), MISSING)
        lines.append((row["setting"], n, *(_cell(row, metric) for metric in columns.values())))
    return Block(title, (title, "n", *columns), tuple(lines), 1)


def _cuts(rows: Rows) -> Block:
    lines = []
    for row in rows:
        for k in cuts(rows):
            if estimate(row, f"Left/{k}"):
                cells = (_cell(row, f"{name}/{k}") for name in ("Left", "Used", "FID", "Weights"))
                lines.append((row["setting"], str(k), *cells, counted(estimate(row, f"Left/{k}"))))
    columns = ("pruned by", "k", "others left", "the k left", "FID", "weights", "n")
    return Block("cuts", columns, tuple(lines), 1)


def _cell(row: Row, metric: str) -> str:
    figure = estimate(row, metric)
    if figure is None:
        return MISSING
    name = metric.split("/")[0]
    if name in SIZES:
        return significant(figure.value)
    return number(figure.value) if name in SHARES else with_interval(figure)
