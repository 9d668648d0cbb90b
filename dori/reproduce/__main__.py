"""``python -m dori.reproduce [NAME ...]``: run what the pages show again, and write it into them.

``docs/results/plan.yaml`` says what is run for which place of which page, in this order. A run that is
finished on the same weights is not started again (``--again`` does); a killed one goes on where it stopped.
"""

import argparse
import sys
from pathlib import Path

from dori.core.config import ROOT
from dori.core.errors import InputError
from dori.reproduce.entries import Entry, read_plan
from dori.reproduce.pages import check_places, write_place
from dori.reproduce.runs import Runs

PLAN = ROOT / "docs/results/plan.yaml"


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m dori.reproduce", description=__doc__)
    parser.add_argument("name", nargs="*", help="of entries in the plan; all by default")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs/reproduce", help="where the runs lie")
    parser.add_argument("--docs", type=Path, default=ROOT, help="of the checkout whose pages are written")
    parser.add_argument("--again", action="store_true", help="start finished runs anew: code has changed")
    parser.add_argument("--write", action="store_true", help="only write the pages, from runs that are there")
    given = parser.parse_args(arguments)
    try:
        entries = chosen(read_plan(PLAN), given.name)
        check_places(given.docs, entries)
        runs = Runs(given.folder, again=given.again)
        for place, entry in enumerate(entries):
            if entry.command and not given.write:
                print(f"[{place + 1}/{len(entries)}] {entry.name}: {entry.command}", flush=True)
                runs.run(entry)
            if runs.ready(entry):
                write_place(given.docs, entry, runs)
    except InputError as error:
        print(f"reproduce: {error}", file=sys.stderr)
        return 1
    return 0


def chosen(entries: list[Entry], names: list[str]) -> list[Entry]:
    """Those with the names, in the plan's order; all where none is named.

    Raises:
        InputError: a name that the plan does not have.
    """
    known = [entry.name for entry in entries]
    if unknown := [name for name in names if name not in known]:
        raise InputError(f"the plan has no {', '.join(unknown)}; it has {', '.join(known)}")
    return [entry for entry in entries if not names or entry.name in names]


if __name__ == "__main__":
    sys.exit(main())
