"""``dori compare``: finished jobs side by side, on the same targets."""

import csv
import math

import numpy as np
import pandas as pd
import pytest

from dori.app.verbs.compare import Case, cases_of, command, compared, hits_of, rate_difference
from dori.core.errors import InputError
from dori.results.reading.rows import write_images, write_rows


def frame(setting: str, similar: dict[str, list[float]], kind: str = "verbatim", steps: float = math.nan):
    lines = [
        {"setting": setting, "kind": kind, "target": name, "prompt": f"prompt of {name}", "seed": seed,
         "restart": 0, "steps": steps, "epsilon": math.nan, "sscd_orig": value, "sscd_gen": value,
         "sscd_frame": math.nan, "a_clip": 0.3, "file": f"/nowhere/{name}-{seed}.png"}
        for name, values in similar.items() for seed, value in enumerate(values)
    ]  # fmt: skip
    return pd.DataFrame(lines)


@pytest.fixture
def jobs(tmp_path, make_rows):
    """Two finished jobs on twelve targets: under the first all come back, under the second three."""
    names, folders = [f"verbatim/{i:03d}" for i in range(12)], []
    for job, hits in {"one": 12, "two": 3}.items():
        rows = make_rows(
            hits={"original": {"verbatim": 12}, "wanda+dori": {"verbatim": hits}},
            n={"verbatim": 12}, pruning_ratio=0.1 if job == "one" else 0.2,
        )  # fmt: skip
        images = pd.concat([
            frame("original", {name: [0.9, 0.2] for name in names}),
            frame("wanda+dori", {n: [0.1, 0.8 if i < hits else 0.3] for i, n in enumerate(names)}, steps=50),
        ])  # fmt: skip
        folders.append(tmp_path / job)
        folders[-1].mkdir()
        write_rows(folders[-1] / "rows.json", rows)
        write_images(folders[-1] / "images.parquet", images)
    return folders


def newcombe_of_pairs(both: int, first: int, second: int, neither: int) -> tuple[float, float]:
    """Method 10 of Newcombe (1998) by its own formulas, for the difference of two paired shares."""
    n, z = both + first + second + neither, 1.959964

    def wilson(k: int) -> tuple[float, float]:
        centre, half = 2 * k + z * z, z * math.sqrt(z * z + 4 * k * (1 - k / n))
        return (centre - half) / (2 * (n + z * z)), (centre + half) / (2 * (n + z * z))

    p, q = (both + first) / n, (both + second) / n
    (l1, u1), (l2, u2) = wilson(both + first), wilson(both + second)
    product = (both + first) * (second + neither) * (both + second) * (first + neither)
    bc = both * neither - first * second
    phi = 0.0 if product == 0 else (max(bc - n / 2, 0) if bc > 0 else bc) / math.sqrt(product)
    low = math.sqrt((p - l1) ** 2 - 2 * phi * (p - l1) * (u2 - q) + (u2 - q) ** 2)
    high = math.sqrt((u1 - p) ** 2 - 2 * phi * (u1 - p) * (q - l2) + (q - l2) ** 2)
    return p - q - low, p - q + high


def test_a_rate_is_compared_on_the_same_targets_with_newcombe_s_interval(jobs):
    first, second = (cases_of(run, folder) for run, folder in zip("AB", jobs, strict=True))
    (one,) = (case for case in first if case.row["setting"] == "wanda+dori")
    (two,) = (case for case in second if case.row["setting"] == "wanda+dori")
    found = rate_difference(two, one)
    assert (found.value, found.n) == (-0.75, 12)
    assert np.allclose((found.low, found.high), newcombe_of_pairs(3, 0, 9, 0), atol=1e-6)


def test_without_common_targets_it_is_compared_as_of_other_ones(jobs):
    (one,) = (case for case in cases_of("A", jobs[0]) if case.row["setting"] == "wanda+dori")
    other = Case("B", one.row, {("another", "prompt"): True})
    assert rate_difference(other, one).value == 0


def test_what_failed_and_another_budget_s_images_do_not_count(make_rows):
    (row,) = make_rows(hits={"wanda+dori": {"verbatim": 1}}, n={"verbatim": 2}, fid={})
    row["failed"] = ["b"]
    images = pd.concat([
        frame("wanda+dori", {"a": [0.9], "b": [0.9]}, steps=50), frame("wanda+dori", {"a": [0.1]}, steps=10),
    ])  # fmt: skip
    assert hits_of(row, images) == {("a", "prompt of a"): True}


def test_what_is_alike_stands_together_and_every_file_has_all_lines(jobs, tmp_path, capsys):
    written = {name: tmp_path / f"out.{name}" for name in ("html", "csv", "latex", "markdown")}
    assert command([*map(str, jobs), *(w for n, p in written.items() for w in (f"--{n}", str(p)))]) == 0
    tables = compared([c for run, job in zip("AB", jobs, strict=True) for c in cases_of(run, job)])
    attacked = [line[:2] for line in tables[0].lines if line[1] == "wanda+dori"]
    assert attacked == [("A", "wanda+dori"), ("B", "wanda+dori")]
    assert "pruning_ratio" in tables[0].columns
    lines = sum(len(table.lines) for table in tables)
    assert len(list(csv.reader(written["csv"].read_text().splitlines()))) == lines + 1
    for name in ("html", "latex", "markdown"):
        assert written[name].read_text().count("wanda+dori") == 2
    assert "−0.75 [−0.9" in capsys.readouterr().out


def test_a_study_that_leaves_no_images_is_compared_as_of_other_targets(jobs, capsys):
    """Also the jobs of a multirun, whose own folder has the merged rows."""
    for job in jobs:
        (job / "images.parquet").unlink()
    assert command([*map(str, jobs)]) == 0
    told = capsys.readouterr().out
    assert "wanda+dori" in told and "−0.75 [" in told
    multirun = jobs[0].parent / "multirun"
    for number, job in enumerate(jobs):
        (multirun / str(number) / ".hydra").mkdir(parents=True)
        (multirun / str(number) / ".hydra" / "overrides.yaml").write_text(f"- seed={number}\n")
        (multirun / str(number) / "rows.json").write_bytes((job / "rows.json").read_bytes())
    (multirun / "rows.json").write_text("[]\n")
    assert {case.row["params"]["pruning_ratio"] for case in cases_of("A", multirun)} == {0.1, 0.2}


def test_a_folder_without_a_finished_job_is_refused(tmp_path):
    with pytest.raises(InputError, match="no finished job lies in"):
        command([str(tmp_path)])
