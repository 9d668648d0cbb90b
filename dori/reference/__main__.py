"""``python -m dori.reference``: the generated tables of docs/, made anew. Exits with 1 where one changed."""

import sys

from dori.core.config import ROOT
from dori.reference.pages import filled, pages

DOCS = ROOT / "docs"


def main() -> int:
    """Writes the pages that are out of date, and names them."""
    changed = [page for page in pages(DOCS) if filled(page.read_text()) != page.read_text()]
    for page in changed:
        page.write_text(filled(page.read_text()))
        print(page.relative_to(ROOT))
    return int(bool(changed))


if __name__ == "__main__":
    sys.exit(main())
