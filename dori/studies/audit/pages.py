"""What an audit leaves in the job's folder: ``audit.json``, ``audit.html`` and a section for a model card."""

import base64
import json
import re
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from dori.core.files import write_atomically
from dori.data.pictures import read_picture
from dori.studies.audit.figures import histogram, work_curve
from dori.studies.audit.rates import sentences
from dori.studies.audit.words import route_name, verdicts

PAIRS = 12  # that are shown side by side of each verdict
SIDE = 160  # of a thumbnail in pixels
FOUND = ("caption", "prompt", "output", "elicited", "base_too")


class Pages:
    """``told``: ``audit.json``; ``thumbnails``: whether pictures are shown in the report."""

    def __init__(self, told: Mapping[str, Any], thumbnails: bool):
        self.told, self.thumbnails = told, thumbnails

    files = ("audit.html", "audit.json", "model-card-audit.md")

    @property
    def lines(self) -> list[str]:
        """What the terminal shows."""
        return [
            self.told["sentence"],
            *sentences(self.told),
            *self.told["advice"],
        ]

    def write(self, folder: Path) -> None:
        write_atomically(folder / "audit.json", json.dumps(self.told, indent=1, allow_nan=False) + "\n")
        write_atomically(folder / "audit.html", self._html())
        write_atomically(folder / "model-card-audit.md", self._render("card.md.j2", told=self.told))

    def _html(self) -> str:
        told = self.told
        files = {p["name"]: p["file"] for p in told["pictures"]}
        return self._render(
            "audit.html.j2", told=told, shown=self._shown(),
            hubs=[{**hub, "image": self._image(files[hub["name"]])} for hub in told["hubs"]],
            histogram=_data(histogram(told["routes"][0], told["published_threshold"]), "png"),
            work=_data(work_curve(told["work"]), "png") if told["work"] else None,
            rows=sorted(told["pictures"], key=lambda p: -p["similarity"]),
        )  # fmt: skip

    def _shown(self) -> list[tuple[str, int, list[dict[str, Any]]]]:
        """Of each verdict that names copies, how many pictures have it, and the most similar of them."""
        shown = []
        for verdict in FOUND:
            listed = [p for p in self.told["pictures"] if p["verdict"] == verdict]
            listed.sort(key=lambda p: -p["similarity"])
            pairs = [
                {**p, "images": [self._image(p[key]) for key in ("file", "output", "base_output")]}
                for p in listed[:PAIRS]
            ]
            shown += [(verdict, len(listed), pairs)] if pairs else []
        return shown

    def _render(self, template: str, **values: Any) -> str:
        environment = Environment(
            loader=FileSystemLoader(Path(__file__).parent), autoescape=template.endswith("html.j2"),
            undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        environment.globals |= {"verdicts": verdicts(self.told), "rates": sentences(self.told)}
        environment.globals |= {"route_name": route_name, "file_name": lambda file: Path(file).name}
        environment.filters["code"] = code
        return environment.get_template(template).render(**values)

    def _image(self, file: str | None) -> str | None:
        """As data, small; None where there is no picture, or none is to be shown."""
        if not self.thumbnails or file is None:
            return None
        image, buffer = Image.fromarray(read_picture(Path(file))), BytesIO()
        image.thumbnail((SIDE, SIDE))
        image.save(buffer, "WEBP", quality=85)
        return _data(buffer.getvalue(), "webp")


def code(text: str) -> Markup:
    """What stands between backticks, as code.

    >>> code("`dori` measures <both>")
    Markup('<code>dori</code> measures &lt;both&gt;')
    """
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _data(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
