"""What the extraction study shows, whichever way its numbers fall; and that others show nothing of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from dori.app.findings import STUDY, findings
from dori.app.report import write_sweep_report
from dori.metrics.intervals import share
from dori.results.finding import Finding
from dori.results.reading.rows import merge
from tests.made_up import add_differences

COUNT = {"verbatim": 48, "template": 16, "seen": 48, "unseen": 48}
HITS = {  # extracted, and with a clique at all, of COUNT
    "original": {"verbatim": (40, 42), "template": (2, 9), "seen": (0, 3), "unseen": (0, 2)},
    "random": {"verbatim": (36, 40), "template": (2, 8), "seen": (0, 2), "unseen": (0, 2)},
    "wanda": {"verbatim": (1, 7), "template": (0, 1), "seen": (0, 0), "unseen": (0, 0)},
    "wanda+dori": {"verbatim": (30, 38), "template": (1, 6), "seen": (1, 9), "unseen": (0, 7)},
    "twin+dori": {"verbatim": (1, 12), "template": (0, 4)},
}
OWN = {STUDY: "dori.studies.extraction.study.extraction", "study.samples": 64, "study.clique": 10}
Rows = list[dict[str, Any]]


@pytest.fixture
def extracted(make_rows: Callable[..., Rows]) -> Callable[..., Rows]:
    """``extracted({"wanda": {"verbatim": (40, 41)}}, ratio=0.1)``: HITS but for these, at these params."""

    def make(other: dict[str, dict[str, tuple[int, int]]] | None = None, **params: Any) -> Rows:
        hits = {setting: kinds | (other or {}).get(setting, {}) for setting, kinds in HITS.items()}
        counts = {setting: {kind: n for kind, (n, _) in kinds.items()} for setting, kinds in hits.items()}
        rows = make_rows(hits=counts, fid={}, n=COUNT, **OWN, **params)
        for row in rows:
            out, found = hits[row["setting"]][row["kind"]]
            row["metrics"]["Extracted"] = share(out, COUNT[row["kind"]])
            row["metrics"]["Cliques"] = share(found, COUNT[row["kind"]])
            row["metrics"]["Clique_Precision"] = share(out, found)
        return add_differences(rows, "Extracted")

    return make


def only(rows: Rows) -> Finding:
    (finding,) = findings(rows)
    return finding


CASES = {
    "suppressed": {},
    "no_recovery": {"wanda+dori": {"verbatim": (1, 30)}},
    "injection": {"twin+dori": {"verbatim": (30, 30)}},
    "mitigation_failed": {"wanda": {"verbatim": (39, 40)}},
    "not_memorized": {"original": {"verbatim": (1, 40)}},
}


@pytest.mark.parametrize("code", CASES)
def test_the_verdict_is_about_what_was_extracted(code: str, extracted: Callable[..., Rows]) -> None:
    """Its memorization rate alone would say the same of all."""
    rows = extracted(CASES[code])
    for row in rows:
        row["metrics"]["MR"] = share(COUNT[row["kind"]] // 2, COUNT[row["kind"]])
    ((label, verdict),) = only(rows).verdicts
    assert (label, verdict.code) == ("wanda+dori", code)
    assert verdict.figures.columns[1] == "Extracted [95 %]"
    assert "None" not in str(verdict) and "–" not in str(verdict)


def test_the_notes_say_what_counts_and_what_an_attacker_sees(extracted: Callable[..., Rows]) -> None:
    text = str(only(extracted()).verdicts[0][1])
    assert "at least 10 of 64 samples" in text
    assert "original 0.88" in text and "wanda+dori 0.79" in text  # prompts with a clique
    assert "is given the training image" in text
    assert "Pruning as many weights at random leaves 0.75" in text


def test_an_attack_that_was_not_run_is_not_spoken_of(extracted: Callable[..., Rows]) -> None:
    rows = [row for row in extracted() if "+" not in row["setting"]]
    verdict = only(rows).verdicts[0][1]
    assert verdict.code == "not_attacked" and "is given" not in str(verdict)


def test_the_table_has_every_share_with_its_interval_and_n(extracted: Callable[..., Rows]) -> None:
    first = only(extracted()).tables[0]
    cells = {line[0]: line[2:] for line in first.lines}
    assert list(cells) == ["original", "random", "wanda", "wanda+dori", "twin+dori"]
    assert cells["wanda"][0].startswith("0.02 [") and cells["wanda"][0].endswith("(48)")
    assert cells["wanda"][2].startswith("0.14 [") and cells["wanda"][2].endswith("(7)")


def test_the_figure_is_the_same_every_time(extracted: Callable[..., Rows], tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        only(extracted()).write(tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_what_was_not_run_leaves_a_gap_in_the_figure(extracted: Callable[..., Rows], tmp_path: Path) -> None:
    rows = [row for row in extracted() if row["setting"] == "original"]
    rows[0]["metrics"] = {}
    only(rows).write(tmp_path / "few.png")
    assert Image.open(tmp_path / "few.png").width > 600


def test_a_sweep_has_one_verdict_and_panel_per_value(extracted: Callable[..., Rows], tmp_path: Path) -> None:
    rows = merge([extracted(ratio=0.05), extracted(CASES["mitigation_failed"], ratio=0.01)])
    finding = only(rows)
    assert [(label, verdict.code) for label, verdict in finding.verdicts] == [
        ("wanda+dori, ratio = 0.05", "suppressed"), ("wanda+dori, ratio = 0.01", "mitigation_failed"),
    ]  # fmt: skip
    finding.write(tmp_path / finding.file)
    write_sweep_report(tmp_path / "report.html", rows, None, [])
    assert (tmp_path / "report.html").read_text().count("data:image/png;base64,") == 1


def test_other_studies_have_no_findings(rows: Rows) -> None:
    assert findings(rows) == []
