"""How far a climb has come, kept so many seconds apart, and at once when the process is told to end: started
again, it goes on, and ends with the same bits."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dori.core.files import replace_file
from dori.core.stopping import keeping, stop_if_told, told

log = logging.getLogger(__name__)


class Progress:
    """What those who take part in a climb ``hold``, in a file of tensors, numbers, lists and dictionaries.

    Args:
        path: of the file; null: nothing is kept.
        every: seconds between two times.
        of: what else, beside the file's place, has to be the same for a climb to go on.
    """

    def __init__(self, path: Path | None = None, every: float = 300, of: Any = None):
        self.path, self.every, self.of = path, every, of
        self.held: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {}
        self.saved = time.monotonic()

    def hold(self, name: str, save: Callable[[], Any], load: Callable[[Any], Any]) -> None:
        """Something that changes on the way: how to read it, and how to put it back."""
        self.held[name] = save, load

    def hold_tensors(self, **tensors: Tensor) -> None:
        """Tensors that are changed in place."""
        for name, tensor in tensors.items():
            self.hold(name, tensor.detach, partial(_put_back, tensor))

    def hold_streams(self, name: str, streams: list[torch.Generator]) -> None:
        """Keep the state of generators, under a name."""
        self.hold(name, lambda: [s.get_state() for s in streams], partial(_rewind, streams))

    def save(self) -> None:
        """Where it is time. Raises Stopped, if this process was told to end."""
        if self.path is not None and (told() or time.monotonic() - self.saved >= self.every):
            kept = {"of": self.of, "held": {name: save() for name, (save, _) in self.held.items()}}
            replace_file(self.path, partial(torch.save, kept))
            self.saved = time.monotonic()
            stop_if_told()

    def resume(self) -> None:
        """Puts back what the file holds, if there is one of this climb."""
        if self.path is None or not self.path.exists():
            return
        try:
            kept = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:  # what a damaged file raises follows no rule
            log.warning("%s cannot be read (%s): beginning anew", self.path, str(error).split("\n")[0])
            return
        if kept["of"] == self.of and kept["held"].keys() == self.held.keys():
            for name, (_, load) in self.held.items():
                load(kept["held"][name])

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Around a climb, and whatever keeps its result; after that there is nothing to go on from."""
        assert self.path is not None
        with keeping():
            yield
            self.path.unlink(missing_ok=True)


def _put_back(tensor: Tensor, kept: Tensor) -> None:
    with torch.no_grad():
        tensor.copy_(kept)


def _rewind(streams: list[torch.Generator], states: list[Tensor]) -> None:
    for stream, state in zip(streams, states, strict=True):
        stream.set_state(state)
