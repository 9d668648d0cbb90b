"""How a process ends when it is told to: SIGTERM (``kill``, a time limit, preemption) and Ctrl-C.

Both raise :class:`Stopped` in the main thread, so that every ``finally`` and ``with`` on the way is passed:
ranks are ended, locks released, the logger is told. Whatever is still busy ``GRACE`` seconds later, in a
call that no signal ends, ends as it is.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import cache, wraps
from types import FrameType
from typing import NoReturn

GRACE = 20  # seconds for what has to be told to others: ranks, and W&B over the network
CHUNKS = "chunk"  # how threads are called that no signal ends: one may take an hour
_told, _said = threading.Event(), threading.Event()


class Stopped(SystemExit):
    """This process was told to end by a signal; its notes say how the work goes on."""

    def __str__(self) -> str:
        number = signal.Signals(int(self.code or 0) - 128)
        by = "Ctrl-C" if number == signal.SIGINT else number.name
        return "; ".join([f"stopped by {by}", "start again to go on", *getattr(self, "__notes__", [])])


def listen() -> None:
    """From now on both signals raise :class:`Stopped`.

    A SIGINT that is ignored, as that of a shell's background job, stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    signal.signal(signal.SIGTERM, _stop)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _stop)


def listen_again() -> None:
    """Lightning puts a handler before ours, which only notes SIGTERM, or waits for all ranks in it."""
    if _stop in getattr(signal.getsignal(signal.SIGTERM), "signal_handlers", []):
        listen()


def _stop(number: int, frame: FrameType | None) -> None:
    stopped = Stopped(128 + number)
    if not _told.is_set():
        _told.set()
        timer = threading.Timer(GRACE, leave, [stopped])
        timer.daemon = True
        timer.start()
        _stop_workers()
        raise stopped
    if number == signal.SIGINT:  # somebody presses it again
        leave(stopped)


def _stop_workers() -> None:
    """joblib would kill them before they could tell their loggers."""
    workers = multiprocessing.active_children()
    for worker in workers:
        worker.terminate()
    until = time.monotonic() + GRACE / 2
    for worker in workers:
        worker.join(max(0, until - time.monotonic()))


def say(stopped: Stopped) -> None:
    """Print why the process ends, once."""
    if not _said.is_set():
        _said.set()
        print(f"\ndori: {stopped}", file=sys.stderr, flush=True)


def leave(stopped: Stopped) -> NoReturn:
    """Ends this process whatever its threads do."""
    if multiprocessing.parent_process() is None:
        say(stopped)
    sys.stdout.flush()
    os._exit(int(stopped.code or 1))


def stoppable(main: Callable[[], None]) -> Callable[[], None]:
    """The function that is all of a process: told to end, it leaves one sentence and 128 + the signal."""

    @wraps(main)
    def ended() -> None:
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        listen()
        try:
            main()
        except Stopped as stopped:
            say(stopped)
            if any(thread.name.startswith(CHUNKS) for thread in threading.enumerate()):
                leave(stopped)  # Python would wait for them
            raise
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    return ended


@cache
def end_with_parent() -> None:
    """A worker of joblib's that outlived its driver would keep its memory; once per process."""
    if (parent := multiprocessing.parent_process()) is not None:
        threading.Thread(target=_end_after, args=[parent.pid], daemon=True).start()


def _end_after(parent: int | None) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
