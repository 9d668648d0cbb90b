"""A published list with the pictures of it that are at hand, and why others are not."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from dori.core.errors import InputError
from dori.data.alike import pairs
from dori.data.links import read_links
from dori.data.listing import Entry, Listing
from dori.data.naming import Found, fetched, find, name_of
from dori.data.pictures import digest

LISTS, FETCHED = "lists", "pictures"  # within the folder of what was fetched
MEMORIZED, CONTROLS, ORDINARY = "memorized", "controls", "ordinary"
KINDS = {MEMORIZED: ("verbatim", "template"), CONTROLS: ("seen", "unseen"), ORDINARY: ("ordinary",)}


@dataclass(frozen=True)
class Hand:
    """What there is of a list.

    Args:
        label: of the list: ``memorized``, ``controls``, ``ordinary``.
        entries: its rows.
        files: pictures by the places of their rows.
        why: by place, why there is none, where that is known.
        by: the naming by which pictures of somebody's own folder were recognised; empty without one.
    """

    label: str
    entries: list[Entry]
    files: dict[int, Path]
    why: dict[int, str]
    by: str

    def has(self, entry: Entry) -> bool:
        """Whether its picture is at hand."""
        return entry.place in self.files

    def without(self, gone: dict[int, str]) -> "Hand":
        """The same without some pictures, each with the reason."""
        files = {place: file for place, file in self.files.items() if place not in gone}
        return replace(self, files=files, why=self.why | gone)


def hold(
    label: str, listing: Listing, images: Path | None, kept: Path, name: str, first: int | None = None
) -> Hand:
    """The pictures of a list: those in a folder of somebody's own, then those that were fetched.

    Args:
        images: the folder, or the one above folders that are called as the lists; alone, it is of the
            memorized ones.
        kept: the folder of what was fetched.
        name: of the option of ``data``.
        first: so many rows alone.

    Raises:
        InputError: see ``Listing.entries`` and ``find``.
    """
    entries = rows_of(label, listing, kept, name)[:first]
    own = Found({}, "")
    if images is not None and (folder := _of_list(images, label)):
        own = find(entries, folder)
    there, links = fetched(kept / FETCHED), read_links(kept / FETCHED)
    named = {entry.place: name_of(entry.address) for entry in entries if entry.address}
    files = {place: there[name] for place, name in named.items() if name in there} | own.files
    why = {e.place: links[e.address].why for e in entries if e.place not in files and e.address in links}
    return Hand(label, entries, files, why, own.by).without(_unreadable(files))


def rows_of(label: str, listing: Listing, kept: Path, name: str) -> list[Entry]:
    """All rows of a list. Raises InputError, also for kinds that have no place in it."""
    entries = listing.entries(
        kept / LISTS, f"run dori data fetch {name}, or name a copy that you have with data.{label}.table="
    )
    for entry in entries:
        if entry.kind not in KINDS[label]:
            raise InputError(f"{entry.source} is {entry.kind}, but {label} are {' or '.join(KINDS[label])}")
    return entries


def _of_list(images: Path, label: str) -> Path | None:
    if (images / label).is_dir():
        return images / label
    return images if label == MEMORIZED and not (images / CONTROLS).is_dir() else None


def _unreadable(files: dict[int, Path]) -> dict[int, str]:
    found = {}
    for place, file in files.items():
        try:
            digest(file)
        except InputError as error:
            found[place] = str(error)
    return found


def apart(hands: Iterable[Hand]) -> list[Hand]:
    """Each without the pictures that look like an earlier one of another kind: one picture is one thing.

    Where addresses are gone, servers give one and the same sign for many of them.
    """
    hands = list(hands)
    rows = [(place, entry, hand.files[entry.place])
            for place, hand in enumerate(hands) for entry in hand.entries if hand.has(entry)]  # fmt: skip
    files = [file for _, _, file in rows]
    gone: list[dict[int, str]] = [{} for _ in hands]
    for i, j in pairs(files, files):
        (other, before, _), (place, entry, _) = rows[i], rows[j]
        if i < j and before.kind != entry.kind and before.place not in gone[other]:
            gone[place][entry.place] = f"looks like the picture of {before.source}, which is {before.kind}"
    return [hand.without(each) for hand, each in zip(hands, gone, strict=True)]


def repeated(hand: Hand) -> list[list[Entry]]:
    """Rows of which the pictures look the same, in groups."""
    rows = [entry for entry in hand.entries if hand.has(entry)]
    files = [hand.files[entry.place] for entry in rows]
    first = list(range(len(rows)))
    for i, j in pairs(files, files):
        first[j] = min(first[j], first[i])
    groups: dict[int, list[Entry]] = {}
    for entry, leader in zip(rows, first, strict=True):
        groups.setdefault(leader, []).append(entry)
    return [group for group in groups.values() if len(group) > 1]
