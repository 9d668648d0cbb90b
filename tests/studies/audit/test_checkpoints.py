"""Several audits beside each other: the order, the last clean checkpoint, the curve."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dori.metrics.intervals import share
from dori.studies.audit.study import findings


def rows(copies: dict[str, int], n: int = 20) -> list[dict[str, Any]]:
    """Made-up rows of audits: copies of n pictures, by checkpoint."""
    found = []
    for path, count in copies.items():
        params = {"model.path": path, "study": "Audit", "seed": 0}
        none = share(0, n)
        own = {
            "Copied": share(count, n),
            "Copied_caption": share(count, n),
            "Copied_prompt": none,
            "Elicited": none,
        }
        for setting, metrics in {"original": own, "base": {"Copied": none}}.items():
            found.append({
                "setting": setting, "kind": "training", "model": "m", "params": params, "metrics": metrics,
            })  # fmt: skip
    return found


@pytest.mark.parametrize(("copies", "code", "said"), [
    ({"ckpt-1000": 9, "ckpt-500": 0, "ckpt-250": 0}, "last_clean", "The last clean checkpoint is ckpt-500"),
    ({"a-1": 0, "a-2": 1, "a-3": 0}, "last_clean", "The last clean checkpoint is a-1"),
    ({"a-1": 2, "a-2": 3}, "none_clean", "No clean checkpoint: already a-1"),
    ({"a-1": 0, "a-2": 0}, "clean", "No checkpoint gives a training picture back"),
])  # fmt: skip
def test_the_last_clean_checkpoint_is_the_one_before_the_first_copy(
    copies: dict[str, int], code: str, said: str
) -> None:
    (finding,) = findings(rows(copies))
    ((_, verdict),) = finding.verdicts
    assert verdict.code == code
    assert verdict.headline.startswith(said)


def test_the_table_and_the_curve_are_in_the_order_of_the_numbers(tmp_path: Path) -> None:
    (finding,) = findings(rows({"ckpt-1000": 9, "ckpt-500": 1, "ckpt-50": 0}))
    (table,) = finding.tables
    assert [line[0] for line in table.lines] == ["ckpt-50", "ckpt-500", "ckpt-1000"]
    assert [line[1] for line in table.lines] == ["0", "1", "9"]
    finding.write(tmp_path / finding.file)
    with Image.open(tmp_path / finding.file) as figure:
        assert figure.width > 600


def test_one_audit_alone_has_a_report_of_its_own() -> None:
    assert findings(rows({"ckpt-500": 3})) == []
