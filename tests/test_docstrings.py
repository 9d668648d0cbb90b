"""Public functions, classes and methods say what they are; modules and functions are ruff's matter."""

import inspect
import pkgutil
from functools import cached_property
from importlib import import_module

import dori

ENOUGH = 0.95


def documented() -> dict[str, bool]:
    """Of every public class, function and method of dori's, by its dotted name.

    Aside: what overrides a base class's or implements a protocol's method, which says it for both.
    """
    found: dict[str, bool] = {}
    classes: list[type] = []
    for module in pkgutil.walk_packages(dori.__path__, "dori."):
        if module.name.endswith("__main__"):
            continue
        for name, value in vars(import_module(module.name)).items():
            if name.startswith("_") or getattr(value, "__module__", None) != module.name:
                continue
            if inspect.isclass(value):
                classes.append(value)
            if inspect.isclass(value) or inspect.isfunction(value):
                found[f"{module.name}.{name}"] = bool(value.__doc__)
    protocols = {
        name: each for each in classes if getattr(each, "_is_protocol", False) for name in vars(each)
    }
    for each in classes:
        for name, value in vars(each).items():
            method = value.fget if isinstance(value, property) else value
            method = method.func if isinstance(method, cached_property) else inspect.unwrap(method)
            method = getattr(method, "__func__", method)
            if name.startswith("_") or not inspect.isfunction(method):
                continue
            inherited = any(name in vars(base) for base in each.__mro__[1:])
            if not inherited and protocols.get(name, each) is each:
                found[f"{each.__module__}.{each.__qualname__}.{name}"] = bool(method.__doc__)
    return found


def test_what_is_public_is_documented() -> None:
    found = documented()
    assert len(found) > 500
    missing = [name for name, told in found.items() if not told]
    assert len(missing) <= (1 - ENOUGH) * len(found), missing
