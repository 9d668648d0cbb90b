"""``dori data status NAME``: what of a published set is at hand; ``dori data fetch NAME``: fetch the rest."""

from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.table import Table

from dori.app.line import CommandLine
from dori.core.config import build, check_keys, expand_home
from dori.core.errors import InputError
from dori.core.fetching import Source, fetch
from dori.data.fetching import fetch_pictures
from dori.data.hand import CONTROLS, FETCHED, LISTS, MEMORIZED, ORDINARY, Hand, apart, hold, repeated
from dori.data.links import TABLE
from dori.data.listing import Listing

SHOWN = 5  # reasons, and groups of pictures that look the same


def command(arguments: list[str]) -> int:
    """Returns 1 where pictures are missing. Raises InputError for no published set, or lists that are."""
    parser = ArgumentParser("dori data", description=__doc__)
    parser.add_argument("verb", choices=("status", "fetch"))
    parser.add_argument("name", metavar="NAME", help="a published set, as sd14_memorized: see dori list data")
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE", help="settings, as data.images=FOLDER")
    parser.add_argument("--dead", action="store_true", help="ask dead links once more")
    given = parser.parse_intermixed_args(arguments)
    node = _node(given.name, given.words)
    lists = {label: build(node[label]) for label in (MEMORIZED, CONTROLS, ORDINARY) if node[label]}
    if given.verb == "fetch":
        _fetch(node, lists, given.dead)
    return _tell(node, _held(node, lists))


def _node(name: str, words: list[str]) -> DictConfig:
    cfg = CommandLine.read([f"data={name}", *words]).whole
    check_keys(OmegaConf.masked_copy(cfg, ["data", "cache"]))
    if cfg.data.get("_target_") != "dori.data.published":
        raise InputError(f"data={name} is no published set: nothing of it is fetched")
    expand_home(cfg.data)
    return cfg.data


def _held(node: DictConfig, lists: dict[str, Listing]) -> list[Hand]:
    images = Path(node.images) if node.images else None
    return [
        hold(label, listing, images, _kept(node), node.name, node.captions if label == ORDINARY else None)
        for label, listing in lists.items()
    ]


def _kept(node: DictConfig) -> Path:
    return Path(node.folder).expanduser()


def _fetch(node: DictConfig, lists: dict[str, Listing], dead: bool) -> None:
    kept = _kept(node)
    fetch(
        {
            each.file(kept / LISTS): Source(each.address, each.sha256)
            for each in lists.values()
            if each.address
        }
    )
    missing = [e for hand in _held(node, lists) for e in hand.entries if not hand.has(e)]
    fetch_pictures([entry.address for entry in missing if entry.address], kept / FETCHED, dead)


def _tell(node: DictConfig, hands: list[Hand]) -> int:
    """Prints what there is; see ``command``."""
    targets = apart(hand for hand in hands if hand.label != ORDINARY)
    shown = [*targets, *(hand for hand in hands if hand.label == ORDINARY)]
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(_table(shown))
    for line in (line for hand in shown for line in _remarks(hand)):
        console.print(line)
    if (links := _kept(node) / FETCHED / TABLE).is_file():
        console.print(f"addresses that gave no picture: {links}")
    wanted, there = sum(len(hand.entries) for hand in targets), sum(len(hand.files) for hand in targets)
    console.print(f"{there} of {wanted} pictures are at hand")
    return int(there < wanted)


def _table(hands: list[Hand]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("list")
    for column in ("rows", "pictures", "gone or unfit", "not fetched", "no address"):
        table.add_column(column, justify="right")
    table.add_column("recognised by")
    for hand in hands:
        table.add_row(hand.label, *map(str, _counts(hand)), hand.by)
    return table


def _remarks(hand: Hand) -> Iterator[str]:
    """Why pictures are not there, and which look the same."""
    for why, count in Counter(hand.why.values()).most_common(SHOWN):
        yield f"{hand.label}: {count} x {why}"
    for group in repeated(hand)[:SHOWN]:
        places = ", ".join(str(entry.place) for entry in group)
        yield f"{hand.label}: the pictures of rows {places} look the same"


def _counts(hand: Hand) -> tuple[int, int, int, int, int]:
    """Rows; pictures; why there is none is known; not fetched; without an address."""
    rest = [entry for entry in hand.entries if not hand.has(entry) and entry.place not in hand.why]
    reachable = sum(bool(entry.address) for entry in rest)
    return len(hand.entries), len(hand.files), len(hand.why), reachable, len(rest) - reachable
