"""The house stands: no circles, no room too large, no file too long; and the command sees them."""

from pathlib import Path

import networkx as nx
import pytest
from PIL import Image

from dori.core.config import ROOT
from dori.reference.architecture import House, circles, main, order


@pytest.fixture(scope="module")
def house() -> House:
    return House(ROOT)


def test_rooms_and_files_import_one_way(house: House) -> None:
    assert circles(house.rooms) == circles(house.imports) == []


def test_no_room_is_above_a_sixth_and_no_file_above_250_lines_but_one_that_is_known(house: House) -> None:
    lines = nx.get_node_attributes(house.rooms, "lines")
    assert max(lines.values()) < sum(lines.values()) / 6
    long = {name for name, path in house.files.items() if len(path.read_text().splitlines()) > 250}
    assert long <= {"dori.diffusion.stable_diffusion"}


def test_results_and_steps_know_no_study(house: House) -> None:
    assert not {"studies", "app"} & {*house.rooms.successors("results"), *house.rooms.successors("steps")}


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Two rooms in a circle, by an import within a function; a third that only type checkers see there."""
    files = {
        "a/one.py": "def f():\n    from dori.b import two\n", "b/two.py": "from dori.a.one import f\nx = 1\n",
        "c/three.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from dori.a import one\n",
        "beside.py": "import dori.c.three\n", "__main__.py": "import dori.beside\n",
    }  # fmt: skip
    for name, text in files.items():
        file = tmp_path / "dori" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return tmp_path


def test_circles_are_seen_wherever_an_import_stands(other: Path) -> None:
    house = House(other)
    assert circles(house.rooms) == [["a", "b"]]
    assert circles(house.imports) == [["dori.a.one", "dori.b.two"]]
    assert set(house.rooms.edges) == {("a", "b"), ("b", "a"), ("(top)", "c")}
    assert order(house.rooms).index("c") < order(house.rooms).index("(top)")


def test_the_command_prints_a_column_for_each_checkout(
    other: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main([str(other), str(ROOT), "--picture", str(tmp_path / "both.png")])
    told = capsys.readouterr().out
    assert "| rooms that lie in circles | 2 | 0 |" in told
    assert "`c`, 38% of 8 lines" in told
    with Image.open(tmp_path / "both.png") as picture:
        assert picture.width > picture.height
