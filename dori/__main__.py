"""``dori``, and ``python -m dori``: told to end, it leaves one sentence from the first import on."""

import gc

from dori.core.crowd import wait_without_spinning_where_crowded
from dori.core.stopping import stoppable


@stoppable
def main() -> None:
    """The ``dori`` command."""
    # until the libraries are imported: among a million objects that all stay, it would look for garbage
    # for more than a second
    gc.disable()
    wait_without_spinning_where_crowded()
    from dori.app.main import main

    main()


if __name__ == "__main__":
    main()
