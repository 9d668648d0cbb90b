"""How far a job is, told by chunks that several threads work on, and by stages within stages."""

import threading

from dori.core import progress
from dori.core.predict import side_by_side


class Heard:
    def __init__(self):
        self.shares, self.events = [], []

    def begun(self, labels):
        self.events.append(("begun", *labels))

    def advanced(self, share):
        self.shares.append(share)

    def ended(self, labels, cached):
        self.events.append(("cached" if cached else "ended", *labels))


def test_chunks_and_their_shares_add_up_in_threads_too():
    heard, both = Heard(), threading.Barrier(2, timeout=20)

    def work(chunk):
        both.wait()  # at once
        progress.within(0.5)
        both.wait()

    with progress.told_to(heard):
        side_by_side(progress.counted(work, 4), [0, 1, 2, 3], 2)
    assert len(heard.shares) == 8 and heard.shares == sorted(heard.shares)
    assert heard.shares[-1] == 1 and set(heard.shares) <= {i / 8 for i in range(9)}


def test_nobody_has_to_listen_and_who_left_hears_no_more():
    heard = Heard()
    with progress.told_to(heard):
        progress.begin(["a"])
    progress.end(["a"], cached=False)
    progress.within(0.5)
    assert heard.events == [("begun", "a")]
