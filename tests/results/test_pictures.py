"""Grid and plots: all inputs drawn, also the odd ones, and the same bytes every time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dori.core.errors import InputError
from dori.results.figures.curves import places_of
from dori.results.figures.distributions import SPREAD, beeswarm, write_distributions
from dori.results.figures.grid import CELL, columns, write_grid
from dori.results.figures.style import REPLICA
from dori.results.figures.sweep import write_sweep
from dori.results.reading.comparison import comparisons
from dori.results.reading.rows import merge


def rgb(colour):
    return tuple(int(colour[i : i + 2], 16) for i in (1, 3, 5))


def test_grid_frames_the_copies_alone(rows, images, targets, tmp_path):
    write_grid(tmp_path / "grid.png", rows, images, targets, shown={"verbatim": 1})
    copies = np.asarray(Image.open(tmp_path / "grid.png")) == rgb(REPLICA)
    write_grid(tmp_path / "none.png", rows, images, targets, threshold=0.99, shown={"verbatim": 1})
    assert copies.all(-1).sum() > 4 * CELL
    assert not (np.asarray(Image.open(tmp_path / "none.png")) == rgb(REPLICA)).all(-1).any()


def test_grid_shows_pixels_as_they_are(rows, images, targets, tmp_path):
    write_grid(tmp_path / "grid.png", rows, images, targets[:1])
    sheet = np.asarray(Image.open(tmp_path / "grid.png"))
    crisp = np.kron(targets[0]["image"], np.ones((CELL // 64, CELL // 64, 1), np.uint8))
    windows = (sheet[y : y + CELL, x : x + CELL] for y in range(80, 120) for x in range(190, 240))
    assert any(np.array_equal(window, crisp) for window in windows)


def test_grid_takes_large_and_oblong_pictures(rows, images, targets, tmp_path):
    targets[0]["image"] = Image.new("L", (512, 512))
    targets[1]["image"] = Image.new("RGB", (300, 200))
    write_grid(tmp_path / "grid.png", rows, images, targets)
    assert Image.open(tmp_path / "grid.png").height > 8 * CELL


def test_columns_follow_what_was_run(make_rows, rows):
    assert [c.setting for c in columns(comparisons(rows)[0])] == [
        "training", "original", "wanda", "wanda+dori", "twin+dori",
    ]  # fmt: skip
    bare = make_rows(hits={"original": {"verbatim": 3}}, fid={})
    assert [c.setting for c in columns(comparisons(bare)[0])] == ["training", "original"]


def test_pictures_have_the_same_bytes_again(rows, images, targets, make_rows, tmp_path):
    swept = merge(make_rows(ratio=ratio) for ratio in (0.02, 0.2))
    for name in ("a", "b"):
        write_grid(tmp_path / f"grid-{name}.png", rows, images, targets)
        write_distributions(tmp_path / f"sscd-{name}.png", images)
        write_sweep(tmp_path / f"sweep-{name}.png", swept)
    for stem in ("grid", "sscd", "sweep"):
        assert (tmp_path / f"{stem}-a.png").read_bytes() == (tmp_path / f"{stem}-b.png").read_bytes()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-1, 1), max_size=100).map(np.array))
def test_dots_stay_on_their_strip(values):
    offsets = beeswarm(values)
    assert offsets.shape == values.shape and (np.abs(offsets) <= SPREAD + 1e-9).all()


@pytest.mark.parametrize("values", [[0.02, None, 0.5], [1, 10, 50], ["prompt", "noise"]])
def test_a_sweep_over_anything_is_drawn(values, make_rows, tmp_path):
    rows = merge(make_rows(epsilon=value) for value in values)
    write_sweep(tmp_path / "sweep.png", rows)
    assert (tmp_path / "sweep.png").stat().st_size > 5000


def test_a_second_swept_parameter_gets_panels_of_its_own(make_rows, tmp_path):
    rows = merge(make_rows(ratio=r, steps=s) for r in (0.02, 0.2) for s in (10, 50))
    write_sweep(tmp_path / "both.png", rows, x="ratio")
    write_sweep(tmp_path / "one.png", merge(make_rows(ratio=r) for r in (0.02, 0.2)))
    assert Image.open(tmp_path / "both.png").height == Image.open(tmp_path / "one.png").height


def test_places_on_the_axis():
    assert places_of([0.1, 0.02]) == {"0.1": 0.1, "0.02": 0.02}
    assert places_of([None, 2, 1]) == {"1": 0.0, "2": 1.0, "none": 2.0}


def test_what_was_not_swept_cannot_be_plotted(rows, tmp_path):
    with pytest.raises(InputError, match="nothing differs"):
        write_sweep(tmp_path / "sweep.png", rows, x="ratio")
