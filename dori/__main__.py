"""``dori``, and ``python -m dori``: told to end, it leaves one sentence from the first import on."""

from dori.core.stopping import stoppable


@stoppable
def main() -> None:
    from dori.app.main import main

    main()


if __name__ == "__main__":
    main()
