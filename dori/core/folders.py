"""Where a job writes: a folder of its own, whose name says what it is, and what all jobs share."""

import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from itertools import chain, count
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

LONGEST = 100  # characters of a name; at most four bytes each, and file systems have 255 for name and suffix


def slug(text: str) -> str:
    """``text`` as the name of one folder: no slashes, nothing that a shell or Hydra would take apart.

    >>> slug("a/b c=[1,2]")
    'a-b-c-1-2'
    """
    return re.sub(r"[^\w.+]+", "-", str(text))[:LONGEST].strip("-.") or "unnamed"


def called(*places: Any) -> str:
    """The first that is given, by the last part of its path; of a list all.

    >>> called(None, "./loras/dog.safetensors", "runs/model")
    'dog'
    """
    first = next(place for place in places if place)
    listed = isinstance(first, Sequence) and not isinstance(first, str)
    names = [str(place) for place in (first if listed else [first])]
    return "+".join(Path(name).name.removesuffix(".safetensors") for name in names)


def cache_folder() -> str:
    """Where all runs keep what they share: $DORI_CACHE, else ``dori`` in the user's folder of caches."""
    folder = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return os.environ.get("DORI_CACHE") or f"{folder}/dori"


def weights_folder() -> Path:
    """Where weights that others published are kept, whichever ``cache=`` a job has."""
    return Path(os.path.abspath(os.path.expanduser(cache_folder()))) / "weights"


def fresh(*parts: str) -> str:
    """Makes a folder that was not there: that of these names, or the same with -2, -3 and so on after it.

    Two jobs never have one, on whichever nodes they begin: making a folder is atomic.
    """
    path = Path(*map(str, parts))
    others = (path.with_name(f"{path.name}-{number}") for number in count(2))
    return str(next(place for place in chain([path], others) if _made(place)))


def _made(place: Path) -> bool:
    try:
        place.mkdir(parents=True)
    except FileExistsError:
        return False
    except OSError:
        pass  # whoever writes into it meets it again, and says so
    return True


def remove_unused(folder: Path) -> None:
    """The folder of a job that was refused before it began: with Hydra's files and an empty log alone.

    So, too, the two around it, ``outputs/name``, where nothing else is in them.
    """
    files = [path for path in folder.rglob("*") if path.is_file()]
    if all(path.parent.name == ".hydra" or path.stat().st_size == 0 for path in files):
        shutil.rmtree(folder)
        with suppress(OSError):
            folder.parent.rmdir()
            folder.parent.parent.rmdir()


def swept(root: DictConfig) -> str:
    """What a multirun goes through, for its name: the swept overrides, and the name of a sweep in a file."""
    words = [str(word) for word in root.hydra.overrides.task]
    read = OverridesParser.create().parse_overrides(words)
    found = [word for word, override in zip(words, read, strict=True) if override.is_sweep_override()]
    in_a_file = root.hydra.sweeper.get("params") or not found
    return slug("_".join([*([root.name] if in_a_file else []), *found]))
