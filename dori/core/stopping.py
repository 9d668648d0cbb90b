"""How a process ends when it is told to: SIGTERM (``kill``, a time limit, preemption) and Ctrl-C.

Both raise :class:`Stopped` in the main thread, so that every ``finally`` and ``with`` on the way is passed:
ranks are ended, locks released, the logger is told. Work that is ``keeping`` how far it has come ends its
step first, keeps that, and raises it itself. Whatever is still busy ``GRACE`` seconds later, in a call that
no signal ends, ends as it is.

What a launcher does at a signal of its own (submitit's SIGUSR2 queues the job again) it does after that.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial, wraps
from types import FrameType
from typing import Any, NoReturn

GRACE = 20  # seconds for the end of a step, and what has to be told to others: ranks, and W&B
CHUNKS = "chunk"  # how threads are called that no signal ends: one may take an hour
LAUNCHERS = (signal.SIGUSR1, signal.SIGUSR2)  # to which launchers of jobs listen
_said = threading.Event()
_told: list[int] = []  # the first signal
_keepers: list[None] = []  # one for each piece of work that is keeping how far it has come


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
    for number in LAUNCHERS:
        theirs = signal.getsignal(number)
        if callable(theirs) and getattr(theirs, "func", None) is not _keep_first:
            signal.signal(number, partial(_keep_first, theirs))


def listen_again() -> None:
    """Lightning puts a handler before ours, which only notes SIGTERM, or waits for all ranks in it."""
    if _stop in getattr(signal.getsignal(signal.SIGTERM), "signal_handlers", []):
        listen()


@contextmanager
def keeping() -> Iterator[None]:
    """Around work in steps, in any thread: told to end, it goes on to ``stop_if_told``, or to its end."""
    _keepers.append(None)
    try:
        yield
    finally:
        _keepers.pop()
    stop_if_told()


def is_kept() -> bool:
    """Whether any thread is yet to keep how far it has come."""
    return bool(_keepers)


def told() -> int:
    """0, or the status to end with: this process was told to."""
    return 128 + _told[0] if _told else 0


def stop_if_told() -> None:
    """Where everything is kept: raises :class:`Stopped` if this process was told to end."""
    if status := told():
        raise Stopped(status)


def _stop(number: int, frame: FrameType | None) -> None:
    if not _told:
        _told.append(number)
        _after_grace(lambda: leave(Stopped(128 + number)))
        _stop_workers()
        if not is_kept():
            stop_if_told()
    elif number == signal.SIGINT:  # somebody presses it again
        leave(Stopped(128 + number))


def _keep_first(theirs: Callable[..., Any], number: int, frame: FrameType | None) -> None:
    """A launcher's handler, before which work that is keeping how far it has come ends its step."""
    if not is_kept():
        theirs(number, frame)
    elif not _told:
        _told.append(number)
        _after_grace(lambda: _told and theirs(number, None))


def pass_on(stopped: Stopped) -> None:
    """In the main thread, when all is kept: what a launcher does at this signal, if it listens to it."""
    number = int(stopped.code or 0) - 128
    handler = signal.getsignal(number) if number in LAUNCHERS else None
    if isinstance(handler, partial):
        _told.clear()  # from here on the launcher says how it ends
        handler.args[0](number, None)


def _after_grace(end: Callable[[], Any]) -> None:
    timer = threading.Timer(GRACE, end)
    timer.daemon = True
    timer.start()


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
