"""Addresses that gave no picture, and why: kept beside the pictures, so that no dead link is asked twice."""

import csv
import io
from pathlib import Path
from typing import NamedTuple

from dori.core.files import write_atomically

TABLE = "links.csv"


class Link(NamedTuple):
    """``dead``: that it will not be otherwise another time."""

    address: str
    why: str
    dead: bool


def read_links(folder: Path) -> dict[str, Link]:
    """By their addresses, those in a folder of pictures; none where nothing was fetched."""
    file = folder / TABLE
    if not file.is_file():
        return {}
    rows = csv.DictReader(io.StringIO(file.read_text(), newline=""))
    links = [Link(row["address"], row["why"], row["dead"] == "yes") for row in rows]
    return {link.address: link for link in links}


def write_links(folder: Path, links: dict[str, Link]) -> None:
    """As a table that people can read."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(Link._fields)
    writer.writerows((link.address, link.why, "yes" if link.dead else "no") for link in links.values())
    write_atomically(folder / TABLE, text.getvalue())
