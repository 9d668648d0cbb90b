"""The code behind a result, found by its imports: what a fingerprint hashes of a program.

From what a stage runs, imports are followed through the sources, wherever they stand in a module; nothing
is imported for it. What pip installed counts by its version; dori, and what lies anywhere else (a module
beside a configuration, a checkout), file by file. Imports that only type checkers see are none.

A package that only hands on names is followed by the names that are asked for, so that
``from dori.data import Target`` does not reach every other module of ``dori.data``.

A file counts by its bytes. That a change is but a comment could be told from the syntax tree, which is
another one in another version of Python: whoever upgrades it would compute everything again.
"""

import ast
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator
from functools import cache, partial
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import PackageNotFoundError, distributions, version
from importlib.util import find_spec, spec_from_file_location
from pathlib import Path
from typing import Any

Import = tuple[str, str | None]  # a module, and what is taken from it; None: all
PIP = {"site-packages", "dist-packages"}  # folders of what is installed


@cache
def code_of(name: str) -> str:
    """SHA-256, 24 hex digits, of the code behind a module, a class or a function, by its dotted name.

    Raises:
        ModuleNotFoundError: there is no such module.
    """
    found = [f"{module} {mark}" for module, mark in sorted(reached(name).items())]
    return hashlib.sha256("\n".join(found).encode()).hexdigest()[:24]


def module_of(function: Callable[..., Any]) -> str:
    """The module that a function was written in; of a partial, that of what it calls."""
    function = inspect.unwrap(function)
    return module_of(function.func) if isinstance(function, partial) else function.__module__


def reached(name: str) -> dict[str, str]:
    """Every module behind a name with the SHA-256 of its file, every installed package with its version."""
    found: dict[str, str] = {}
    waiting = list(_modules(*_split(name)))
    while waiting:
        module = waiting.pop()
        top = module.partition(".")[0]
        if module in found:
            continue
        if _installed(top):
            found[top] = _version(top)
        elif file := _file(module):
            found[module] = hashlib.sha256(file.read_bytes()).hexdigest()
            waiting += _imported(module)
    return found


def _split(name: str) -> Import:
    """``dori.attacks.Attack.check``: a module, and the name of something in it."""
    module, rest = name, None
    while _spec(module) is None:
        module, _, rest = module.rpartition(".")
        if not module:
            raise ModuleNotFoundError(f"no module has {name!r}")
    return module, rest


@cache
def _spec(module: str) -> ModuleSpec | None:
    """Where a module lies; the packages around it are not imported."""
    above, _, _ = module.rpartition(".")
    if above:
        package = _spec(above)
        places = package.submodule_search_locations if package else None
        return PathFinder.find_spec(module, places) if places else None
    try:
        return find_spec(module)
    except ValueError:  # a script that was started
        return spec_from_file_location(module, getattr(sys.modules[module], "__file__", None))


def _file(module: str) -> Path | None:
    spec = _spec(module)
    return Path(spec.origin) if spec and spec.has_location and spec.origin else None


@cache
def _installed(top: str) -> bool:
    """Whether a package counts by the version that pip knows."""
    file = _file(top)
    return top != "dori" and file is not None and bool(PIP & {*file.parts}) and bool(_version(top))


@cache
def _version(top: str) -> str:
    """Of what brought a package: pillow for PIL. Empty where nothing that pip installed did."""
    try:
        return version(top)
    except PackageNotFoundError:
        listed = ((each, each.read_text("RECORD") or "") for each in distributions())
        return " ".join(each.version for each, files in listed if f"\n{top}/" in f"\n{files}")


@cache
def _imported(module: str) -> frozenset[str]:
    """The modules that one imports, and the packages around it that do more than hand on names."""
    names = [each for taken in _imports(module) for each in _modules(*taken)]
    around = [module.rsplit(".", i)[0] for i in range(1, module.count(".") + 1)]
    return frozenset([*names, *(package for package in around if _handed_on(package) is None)])


def _modules(module: str, name: str | None) -> Iterator[str]:
    """Where a name that is taken from a module comes from, but for Python's own modules."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or _spec(module) is None:
        return
    given = {} if _installed(top) else _handed_on(module) or {}
    if name in given:
        yield from _modules(*given[name])
    else:
        yield f"{module}.{name}" if name and _spec(f"{module}.{name}") else module


@cache
def _handed_on(module: str) -> dict[str, Import] | None:
    """The names that a package takes from its modules, where it does nothing else; else None."""
    file = _file(module)
    if file is None:  # a folder
        return {}
    if file.name != "__init__.py":
        return None
    given: dict[str, Import] = {}
    for node in ast.parse(file.read_bytes()).body:
        if isinstance(node, ast.ImportFrom):
            given |= {a.asname or a.name: (_origin(node, module), a.name) for a in node.names}
        elif not isinstance(node, ast.Assign | ast.Expr) or isinstance(node.value, ast.Call):
            return None
    return given


def _imports(module: str) -> Iterator[Import]:
    file = _file(module)
    if file is None or file.suffix != ".py":
        return
    for node in _statements(ast.parse(file.read_bytes()).body):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = _origin(node, module)
            yield from ((origin, None if alias.name == "*" else alias.name) for alias in node.names)


def _origin(node: ast.ImportFrom, module: str) -> str:
    """The full name of the module that is imported from."""
    if not node.level:
        return node.module or ""
    file = _file(module)
    up = node.level - (file is not None and file.name == "__init__.py")
    package = module.rsplit(".", up)[0] if up else module
    return f"{package}.{node.module}" if node.module else package


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """All statements, those in functions too, but for what only type checkers see."""
    for node in body:
        yield node
        if not (isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")):
            yield from _statements(getattr(node, "body", []))
        for block in ("orelse", "finalbody"):
            yield from _statements(getattr(node, block, []))
        for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            yield from _statements(part.body)
