"""The templates of this folder, filled in."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def rendered(name: str, **values: Any) -> str:
    """A template's text, in which a value that is missing is an error; in HTML values are escaped."""
    loader, html = FileSystemLoader(Path(__file__).parent), name.endswith(".html.j2")
    environment = Environment(loader=loader, autoescape=html, undefined=StrictUndefined)
    return environment.get_template(name).render(**values)
