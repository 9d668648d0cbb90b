"""The table: everything that the rows say, in every form, in a terminal's width."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from dori.app.finish import text
from dori.results.reading.block import Block
from dori.results.reading.estimate import Estimate, number, with_deviation, with_interval
from dori.results.reading.rows import merge
from dori.results.tables import render
from dori.results.tables.sweep import sweep
from dori.results.tables.table import blocks, halves


def printed(tables, width=110):
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=True)
    render.show(tables, console)
    return Text.from_ansi(console.file.getvalue()).plain


def test_a_job_s_text_has_its_tables_both_halves_and_the_verdict(rows):
    told = text(rows)
    assert "| wanda+dori | mitigated, attacked |" in told
    assert "**The two halves of the memorized targets**" in told
    assert "\n> **Suppressed, not removed.** " in told and "](docs/statistics.md)" in told


def test_a_table_too_wide_for_a_terminal_goes_on_below():
    names = ("model", *(f"MR attack {i} [95 %]" for i in range(9)))
    lines = tuple((model, *(f"0.{i}{i} [0.00, 0.84]" for i in range(9))) for model in ("original", "twin"))
    told = printed([Block("Defenses", names, lines, labels=1)])
    assert "…" not in told
    assert all(len(line) <= 110 for line in told.splitlines())
    for name in names[1:]:
        assert told.count(name) == 1
    for i in range(9):
        assert told.count(f"0.{i}{i} [0.00, 0.84]") == 2
    assert told.count("original") == told.count("twin") == told.count("Defenses") == 2


def test_one_block_per_kind_with_a_line_per_setting(rows):
    found = {block.head[0]: block for block in blocks(rows)}
    assert list(found) == ["verbatim", "template", "seen", "unseen", "ordinary"]
    assert [line[0] for line in found["verbatim"].lines] == [
        "original", "random", "wanda", "wanda+dori", "twin", "twin+dori",
    ]  # fmt: skip
    line = dict(zip(found["verbatim"].columns, found["verbatim"].lines[3], strict=True))
    assert line["MR [95 % interval]"].startswith("0.69 [0.55, 0.80")
    assert (line["SSCD_Orig"], line["Displacement"], line["n"]) == ("0.81 ± 0.05", "0.84", "48")


def test_ordinary_captions_have_quality(rows):
    (quality,) = (block for block in blocks(rows) if block.head[0] == "ordinary")
    line = dict(zip(quality.columns, quality.lines[2], strict=True))
    assert line["FID"] == "23.7" and line["n"] == "1,000"
    assert line["× 1,000 − original's"] == "4.00 [−1.00, 9.00]"
    rows[-1]["features"] = "clip@64, 64 features"
    rows[-3]["metrics"]["FID_floor"] = {"value": 9.21, "low": None, "high": None, "n": 1000}
    title = blocks(rows)[-1].title
    assert title.endswith("(features: clip@64, 64 features; floor of FID 9.21, of KID 0)")


def test_failed_targets_stand_beside_n(rows):
    rows[0]["failed"] = ["verbatim/003"]
    assert blocks(rows)[0].lines[0][-1] == "48 (1 failed)"


def test_missing_metrics_are_dashes(rows):
    rows[0]["metrics"] = {"MR": None, "SSCD_Orig": {"value": None, "n": 0}}
    assert set(blocks(rows)[0].lines[0][2:]) == {"–"}


def test_frame_column_only_where_there_are_templates(make_rows):
    plain = make_rows(hits={"original": {"verbatim": 3}}, fid={})
    assert "SSCD_Frame" not in blocks(plain)[0].columns


@pytest.mark.parametrize("width", [80, 110, 200])
def test_the_terminal_is_not_overrun_and_nothing_is_cut(rows, width):
    text = printed([*blocks(rows), halves(rows)], width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text and "0.69 [0.55, 0.80]" in text


def test_markdown_and_latex_hold_every_line(rows):
    tables = blocks(rows)
    lines = sum(len(block.lines) for block in tables)
    markdown, latex = render.markdown(tables), render.latex(tables)
    assert sum(row.startswith("| ") for row in markdown.splitlines()) == lines + 2 * len(tables)
    assert latex.count("\\toprule") == len(tables) and "0.93 $\\pm$ 0.05" in latex
    assert "SSCD\\_Orig" in latex and "[95 \\% interval]" in latex


def test_a_sweep_has_a_line_per_value_in_order(make_rows):
    rows = merge(make_rows(ratio=ratio) for ratio in (0.1, 0.02, 0.05))
    block = sweep(rows)
    assert [line[1] for line in block.lines] == ["0.02", "0.05", "0.1"]
    line = dict(zip(block.columns, block.lines[0], strict=True))
    assert line["attacked"].startswith("0.69 [") and line["FID"] == "23.7"
    assert line["controls, attacked*"].startswith("0.04")
    assert "n = 48" in block.title and "1,000" in block.title


def test_what_a_sweep_does_not_touch_stands_once(make_rows):
    untouched = {"original": {"verbatim": 47}}
    rows = merge(
        make_rows(hits=untouched, fid={}, ratio=None)
        + make_rows(hits={"wanda": {"verbatim": hits}}, fid={}, ratio=ratio)
        for hits, ratio in ((9, 0.05), (2, 0.1))
    )
    lines = blocks(rows)[0].lines
    assert [(line[0], line[2]) for line in lines] == [("original", "–"), ("wanda", "0.05"), ("wanda", "0.1")]


def test_numbers():
    assert number(-0.001) == "0.00" and number(-0.5) == "−0.50" and number(None) == "–"
    assert with_interval(Estimate(0.5)) == "0.50"
    assert with_interval(None) == with_deviation(None) == "–"
