"""``dori``, and ``python -m dori``: told to end, it leaves one sentence from the first import on."""

import gc
import os

from dori.core.stopping import stoppable


@stoppable
def main() -> None:
    """The ``dori`` command."""
    # until the libraries are imported: among a million objects that all stay, it would look for garbage
    # for more than a second
    gc.disable()
    # before torch is there: its threads would wait for one another by spinning, and where others use the
    # cores, too, a step of 50 ms took six seconds
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from dori.app.main import main

    main()


if __name__ == "__main__":
    main()
