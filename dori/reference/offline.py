"""What an offline run of W&B has recorded, read from its ``run-ID.wandb``: no server is asked.

The file is a log of LevelDB's format (its log_format.md): blocks of 32 KiB, in them records of a checksum, a
length and a kind. Each whole record is one of wandb's own messages.
"""

import json
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BLOCK, HEADER, FIRST = 32_768, 7, 7  # bytes: of a block, of a record's head, of the file's own head
WHOLE, LAST = 1, 4  # kinds of records; those between are a message's first and middle parts


@dataclass
class Recorded:
    """A run: settings by ``group/key``, figures of the summary, and the steps of its history."""

    name: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)


def recorded(path: Path) -> Recorded:
    """The run that a ``.wandb`` file holds."""
    from wandb.proto.wandb_internal_pb2 import Record

    run = Recorded()
    for message in messages(path.read_bytes()):
        record = Record.FromString(message)
        run.name = record.run.display_name or run.name
        run.config |= _values([*record.run.config.update, *record.config.update])
        run.summary |= _values(record.summary.update)
        if step := _values(record.history.item):
            run.history.append(step)
    return run


def messages(log: bytes) -> Iterator[bytes]:
    """The messages of a log, whole."""
    parts, at = b"", FIRST
    while at + HEADER <= len(log):
        if BLOCK - at % BLOCK < HEADER:  # too little is left of a block for a head
            at += BLOCK - at % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", log, at)
        parts += log[at + HEADER : at + HEADER + length]
        at += HEADER + length
        if kind in (WHOLE, LAST):
            yield parts
            parts = b""


def _values(items: Any) -> dict[str, Any]:
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}
