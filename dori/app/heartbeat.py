"""A job's progress for whoever is not there: in dori.log, as a line a minute, and in ``progress.json``."""

import json
import logging
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

from dori.app.course import Course
from dori.core.files import write_atomically
from dori.core.progress import Listener

log = logging.getLogger("dori.stages")
PROGRESS = "progress.json"
EVERY = 60  # seconds between two heartbeats


class Journal(Listener):
    """A line for every stage that begins and ends; how far each is, the heartbeat tells."""

    def __init__(self, course: Course):
        self.course = course

    def begun(self, labels: Sequence[str]) -> None:
        for label in labels:
            log.info("%s: begun", label)

    def ended(self, labels: Sequence[str], cached: bool) -> None:
        for label in labels:
            took = self.course.stages[label].seconds
            log.info("%s: %s", label, "in the cache" if cached else f"done in {took:.1f} s")


class Heartbeat:
    """A context: as long as the job lives, its folder says how far it is, or where it stopped."""

    def __init__(self, course: Course, output: Path):
        self.course, self.file = course, output / PROGRESS
        self.over = Event()
        self.thread = Thread(target=self._beat, daemon=True)

    def __enter__(self) -> None:
        self.thread.start()

    def __exit__(self, error: type | None, *more: object) -> None:
        self.over.set()
        self.thread.join()
        if error is None:
            self.file.unlink(missing_ok=True)
        else:
            self._tell(ended=True)

    def _beat(self) -> None:
        self._tell()
        while not self.over.wait(EVERY):
            self._tell()
            if not sys.stdout.isatty():
                log.info("%s", said(self.course))

    def _tell(self, ended: bool = False) -> None:
        told = {"stage": self.course.now, "said": self.course.said, "at": time.time(), "ended": ended}
        with suppress(OSError):  # a full disk is told by whoever has something to lose
            write_atomically(self.file, json.dumps(told) + "\n")


def said(course: Course) -> str:
    """Where the job is, in one line."""
    whole = f"; all: {course.said}" if course.said else ""
    return f"{course.now}: {course.share_of_stage:.0%}{whole}"
