"""The code behind a name: all that it imports, and nothing else, on packages made for the purpose."""

import inspect
import subprocess
import sys
from functools import partial, wraps
from importlib.metadata import version
from pathlib import Path

import pytest

from dori.core import code
from dori.core.code import code_of, module_of, reached

# by file: what it holds
FOREIGN = {
    "theirs/__init__.py": "'Hands on'\nfrom .guards import Guard\nfrom theirs.deep import other as again\n",
    "theirs/guards.py": "import scipy.stats\nfrom .numbers import ONE\nfrom beside import f\nGuard = f\n",
    "theirs/numbers.py": "import os, json\nONE = 1\n",
    "theirs/unused.py": "TWO = 2\n",
    "theirs/deep/__init__.py": "from ..unused import TWO\nother = print(TWO)\n",
    "theirs/deep/lazy.py": (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from theirs import guards\n"
        "def f():\n    try:\n        import missing\n    except ImportError:\n        import beside\n"
    ),
    "theirs/star.py": "from theirs.guards import *\nfrom theirs import numbers, Guard\n",
    "theirs/circle.py": "from theirs.back import b\na = 1\n",
    "theirs/back.py": "from theirs import circle\nb = 1\n",
    "theirs/whole.py": "import theirs\nfrom theirs.numbers import ONE\n",
    "theirs/ours.py": "from dori.data import Target\n",
    "beside.py": "def f(): pass\n",
    "space/inner.py": "import beside\n",
}  # fmt: skip
GUARDS = ["beside", "scipy", "theirs.guards", "theirs.numbers"]


@pytest.fixture(autouse=True)
def forgotten() -> None:
    """What one test found out about files, the next must not know."""
    for kept in vars(code).values():
        if hasattr(kept, "cache_clear"):
            kept.cache_clear()


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FOREIGN.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("name", "modules"), [
    ("theirs.guards", GUARDS),
    ("theirs.guards.Guard", GUARDS),
    ("theirs.guards.Guard.method", GUARDS),
    ("theirs.Guard", GUARDS),  # handed on
    ("theirs.numbers.ONE", ["theirs.numbers"]),
    ("theirs.star", [*GUARDS, "theirs.star"]),
    ("theirs.whole", sorted([*GUARDS, "theirs", "theirs.deep", "theirs.unused", "theirs.whole"])),
    ("theirs.circle", ["theirs.back", "theirs.circle"]),
    # a package that does something itself goes with its modules; the import for type checkers does not
    ("theirs.deep.lazy", ["beside", "theirs.deep", "theirs.deep.lazy", "theirs.unused"]),
    ("theirs.again", ["theirs.deep", "theirs.unused"]),
    ("space.inner", ["beside", "space.inner"]),
    ("beside", ["beside"]),
    ("json.dumps", []),
    ("torch.optim.Adam", ["torch"]),
])  # fmt: skip
def test_a_name_reaches_what_it_imports(foreign: Path, name: str, modules: list[str]) -> None:
    assert sorted(reached(name)) == modules
    assert not {"theirs", "theirs.guards", "beside"} & set(sys.modules)  # read, not imported


def test_a_foreign_part_reaches_what_it_takes_from_dori(foreign: Path) -> None:
    found = reached("theirs.ours")
    assert {"theirs.ours", "dori.data.targets", "numpy"} <= set(found)
    assert "dori.data.folder" not in found


@pytest.mark.parametrize("name", ["nowhere", "theirs_not.guards", "missing.deep.Guard"])
def test_what_no_module_has_is_no_code(foreign: Path, name: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=f"no module has '{name}'"):
        code_of(name)


def test_an_edit_changes_the_code_of_what_reaches_the_file(foreign: Path) -> None:
    names = ["theirs.guards", "theirs.deep.lazy", "theirs.numbers", "space.inner", "json"]
    before = {name: code_of(name) for name in names}
    (foreign / "theirs/numbers.py").write_text("import os, json\nONE = 1.5\n")
    code_of.cache_clear()
    assert [name for name in names if code_of(name) != before[name]] == ["theirs.guards", "theirs.numbers"]


def test_the_place_of_a_file_makes_no_difference(
    foreign: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = code_of("theirs.guards")
    moved = tmp_path_factory.mktemp("moved")
    (foreign / "theirs").rename(moved / "theirs")
    (foreign / "beside.py").rename(moved / "beside.py")
    monkeypatch.syspath_prepend(moved)
    for kept in (code_of, code._spec, code._imported, code._handed_on):
        kept.cache_clear()
    assert code_of("theirs.guards") == before


def test_another_version_of_what_is_installed_is_other_code(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"scipy": "dori.metrics.intervals", "PIL": "dori.data.targets", "numpy": "dori.pruning.masks"}
    found = {package: reached(name).get(package) for package, name in names.items()}
    assert found == {"scipy": version("scipy"), "PIL": version("pillow"), "numpy": None}
    before = {name: code_of(name) for name in names.values()}
    monkeypatch.setattr("dori.core.code.version", lambda name: "0.0" if name == "scipy" else version(name))
    code._version.cache_clear()
    code_of.cache_clear()
    assert [name for name in names.values() if code_of(name) != before[name]] == ["dori.metrics.intervals"]


def test_the_module_of_a_function_is_where_it_was_written() -> None:
    @wraps(reached)
    def outer(name: str) -> dict[str, str]:
        return reached(name)

    assert (
        module_of(reached)
        == module_of(outer)
        == module_of(partial(partial(outer), "json"))
        == "dori.core.code"
    )
    assert module_of(Path.read_text) == "pathlib"
    assert module_of(lambda: None) == __name__


def test_a_script_is_its_file_and_what_it_imports(foreign: Path) -> None:
    script = foreign / "script.py"
    script.write_text(
        "import beside\nfrom dori.core.code import reached\nprint(*sorted(reached('__main__')))\n"
    )
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["__main__", "beside", "dori.core.code"]


def test_annotations_of_every_module_are_found_where_they_are_said_to_be() -> None:
    """No module of dori names one that does not exist: what is misspelt would reach nothing."""
    root = Path(inspect.getfile(code)).parent
    for file in root.rglob("*.py"):
        name = ".".join(file.relative_to(root.parent).with_suffix("").parts).removesuffix(".__init__")
        for module, _ in code._imports(name):
            assert not module.startswith("dori") or code._spec(module), (name, module)
