"""What the pages show is run as a user would, once, and written where it belongs."""

import json
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
import yaml

from dori.app.overrides import checked
from dori.core.config import ROOT
from dori.core.errors import InputError
from dori.reproduce import __main__ as command
from dori.reproduce import tables
from dori.reproduce.entries import Entry, read_plan
from dori.reproduce.pages import check_places, place_of, write_place
from dori.reproduce.runs import Runs, words

PAGE = "# A\n\n<!-- measured: a -->\nold\n<!-- end -->\nafter\n<!-- measured: b -->\n<!-- end -->\n"


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path / "runs")


def script(folder: Path, body: str) -> str:
    """A command that runs ``body``, and writes into the run's folder."""
    path = folder / "run.py"
    path.write_text(body)
    return f"python {path}"


def ended(runs: Runs, name: str, **told: object) -> Path:
    folder = runs.folder(name)
    folder.mkdir(parents=True)
    whole = {
        "command": "dori", "weights": runs.weights, "version": "1", "date": "1 May 2026", "seconds": 90.0,
        "cores": 2, **told,
    }  # fmt: skip
    (folder / "reproduced.json").write_text(json.dumps(whole))
    return folder


def test_every_entry_of_the_plan_has_its_place_and_a_command_that_dori_accepts() -> None:
    entries = read_plan(command.PLAN)
    check_places(ROOT, entries)
    assert len(entries) > 10
    for entry in entries:
        first, *rest = shlex.split(entry.command or "dori")
        assert first == "dori" or (ROOT / rest[0]).is_file()
        if first == "dori":
            checked(rest)


def test_every_place_of_the_pages_is_in_the_plan() -> None:
    names = {entry.name for entry in read_plan(command.PLAN)}
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    found = {name for page in pages for name in re.findall(r"<!-- measured: (\S+) -->", page.read_text())}
    assert found == names


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        ([{"name": "a", "page": "p", "shows": "x"}], "entry 1"),
        ([{"name": "a", "page": "p", "command": "dori"}] * 2, "two entries are called a"),
        ([{"name": "a", "page": "p", "command": "dori", "show": "all"}], "shows 'all', not one of table"),
        ([{"name": "a", "page": "p", "of": ["b"]}], "shows b, which no entry runs"),
    ],
)
def test_a_plan_that_cannot_be_followed_is_refused(plan: list, why: str, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(plan))
    with pytest.raises(InputError, match=why):
        read_plan(tmp_path / "plan.yaml")


def test_a_page_without_the_place_is_told_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(PAGE)
    check_places(tmp_path, [Entry("a", "page.md"), Entry("b", "page.md")])
    with pytest.raises(InputError, match=r"page\.md has no place <!-- measured: c -->"):
        check_places(tmp_path, [Entry("c", "page.md")])


def test_a_job_is_run_in_its_own_folder_and_a_benchmark_as_it_is(tmp_path: Path) -> None:
    run = words("dori data.targets=all 'model.name=a b'", tmp_path)
    assert run[1:5] == ["-m", "dori", "data.targets=all", "model.name=a b"]
    assert run[5:] == [f"hydra.run.dir={tmp_path}", f"hydra.sweep.dir={tmp_path}"]
    assert words("python benchmarks/audit.py --fresh 2", tmp_path)[1:] == [
        "benchmarks/audit.py",
        "--fresh",
        "2",
    ]


def test_a_run_is_started_once_and_again_where_the_weights_are_others(tmp_path: Path, runs: Runs) -> None:
    count = tmp_path / "count"
    entry = Entry("a", "page.md", script(tmp_path, f"open({str(count)!r}, 'a').write('x')"))
    runs.run(entry)
    runs.run(entry)
    assert count.read_text() == "x" and runs.ready(entry)
    runs.weights = "others"
    assert not runs.finished(entry)
    runs.run(entry)
    Runs(tmp_path / "runs", again=True).run(entry)
    assert count.read_text() == "xxx"


def test_a_run_that_fails_is_told_and_its_output_kept(tmp_path: Path, runs: Runs) -> None:
    entry = Entry("a", "page.md", script(tmp_path, "raise SystemExit('no disk left')"))
    with pytest.raises(InputError, match=r"a failed, see .*no disk left"):
        runs.run(entry)
    assert not runs.ready(entry)
    assert "no disk left" in (runs.folder("a") / "output.txt").read_text()


def test_a_place_is_filled_with_what_the_run_showed_and_nothing_else_changes(
    tmp_path: Path, runs: Runs
) -> None:
    folder = ended(runs, "a")
    (folder / "table.md").write_text("| new |\n")
    (folder / "grid.png").write_bytes(b"png")
    (tmp_path / "page.md").write_text(PAGE)
    entry = Entry("a", "page.md", "dori", figures={"grid.png": "here.png"})
    for _ in range(2):
        write_place(tmp_path, entry, runs)
    text = (tmp_path / "page.md").read_text()
    found = place_of("a").search(text)
    assert found and "| new |" in found[0] and "old" not in text
    assert f"`dori`: 1 May 2026, dori 1, weights `{runs.weights}`, 1.5 minutes on 2 cores." in found[0]
    assert text.replace(found[0], "") == PAGE.replace("<!-- measured: a -->\nold\n<!-- end -->", "")
    assert (tmp_path / "here.png").read_bytes() == b"png"


def test_a_figure_of_the_plan_is_one_that_dori_draws_and_that_a_page_shows() -> None:
    """A name that nothing draws would be met after hours."""
    code = "".join(path.read_text() for path in (ROOT / "dori").rglob("*.py"))
    for entry in read_plan(command.PLAN):
        for file, goal in entry.figures.items():
            stem = file.partition("_")[0]
            assert f'"{file}"' in code or f'"{stem}_{{' in code, file
            assert Path(goal).name in (ROOT / entry.page).read_text()


def test_links_of_what_was_printed_lead_on_from_the_page(runs: Runs) -> None:
    (ended(runs, "a") / "table.md").write_text("> [docs/statistics.md](docs/statistics.md)\n")
    for page, link in (("docs/results/main.md", "../statistics.md"), ("README.md", "docs/statistics.md")):
        assert f"]({link})" in tables.table(Entry("a", page, "dori"), runs)


def test_a_figure_that_a_run_did_not_draw_is_told(tmp_path: Path, runs: Runs) -> None:
    (ended(runs, "a") / "table.md").write_text("| new |\n")
    (tmp_path / "page.md").write_text(PAGE)
    with pytest.raises(InputError, match=r"a drew no grid\.png in "):
        write_place(tmp_path, Entry("a", "page.md", "dori", figures={"grid.png": "here.png"}), runs)


def test_two_rulers_are_compared_picture_by_picture(runs: Runs) -> None:
    keys = {"kind": "verbatim", "target": "t", "restart": 0, "steps": float("nan")}
    settings = ["original"] * 4 + ["wanda"] * 4
    for name, scores in (("a", [0.9, 0.8, 0.6, 0.1] * 2), ("b", [0.8, 0.6, 0.75, 0.2] * 2)):
        ended(runs, name)
        frame = pd.DataFrame({"setting": settings, "seed": range(8), **keys, "sscd_orig": scores})
        frame.to_parquet(runs.folder(name) / "images.parquet")
    found = tables.rulers(Entry("r", "page.md", of=("a", "b"), show="rulers"), runs).splitlines()
    assert found[2].startswith("| original | 4 |") and found[2].endswith("| 50.0 % | 25.0 % | 25.0 % |")
    assert found[-1].startswith("| all | 8 |")


def test_rates_stand_beside_each_other(runs: Runs) -> None:
    def row(setting: str, kind: str, value: float) -> dict:
        figure = {"value": value, "low": 0.0, "high": 1.0, "n": 4}
        metric = "FID_ratio" if kind == "ordinary" else "MR"
        return {"setting": setting, "kind": kind, "model": "m", "params": {}, "metrics": {metric: figure}}

    rows = [
        row("original", "verbatim", 0.9),
        row("wanda+dori", "unseen", 0.05),
        row("wanda", "ordinary", 1.3),
    ]
    (ended(runs, "a") / "rows.json").write_text(json.dumps(rows))
    lines = tables.beside(Entry("x", "page.md", of=("a",), show="beside"), runs).splitlines()
    assert (
        lines[2]
        == "| `dori` | 0.90 [0.00, 1.00] | – | – | – | – | 0.05 [0.00, 1.00] | – | 1.30 [0.00, 1.00] |"
    )
    told = tables.rates(Entry("x", "page.md", of=("a",), show="rates"), runs)
    assert "| **original** | the model as it came, given the caption | 0.90 [0.00, 1.00] |" in told


def test_names_that_the_plan_lacks_are_refused(capsys: pytest.CaptureFixture) -> None:
    assert command.main(["nothing"]) == 1
    assert "the plan has no nothing; it has default" in capsys.readouterr().err
