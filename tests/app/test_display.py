"""The display: what a terminal, a log and a folder are told of a job that runs."""

import io
import itertools
import json
import time

import pytest
from rich.console import Console

from dori.app import course as course_module
from dori.app import heartbeat
from dori.app.course import Course, Foretold
from dori.app.display import displayed, screen
from dori.app.verbs.status import state_of
from dori.core import progress


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass when the test says so."""
    now = [1000.0]
    monkeypatch.setattr(course_module.time, "monotonic", lambda: now[0])
    return now


def printed(course, width):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(screen(course))
    return console.file.getvalue()


def test_what_is_left_follows_from_the_pace_and_the_costs(clock):
    course = Course(lambda: Foretold({"a": 100, "b": 300, "c": 0}))
    assert course.share == 0 and course.left is None
    course.begun(["a"])
    clock[0] += 10
    course.ended(["a"], cached=False)
    assert (course.share, course.left) == (0.25, 30)
    course.begun(["b"])
    clock[0] += 20
    course.advanced(0.5)
    assert (course.share, course.left) == (0.625, pytest.approx(18))  # 250 in 30 s, and 150 to go


def test_what_is_in_the_cache_is_no_work_and_stages_within_stages_end_first(clock):
    course = Course(lambda: Foretold({"a": 100, "b": 300}))
    course.ended(["a"], cached=True)
    assert course.share == 0
    course.begun(["b"])
    course.begun(["within"])
    assert course.now == "within"
    course.ended(["within"], cached=False)
    course.advanced(0.25)
    assert course.now == "b" and course.share == 0.25


def test_stages_that_one_computation_fills_share_its_time(clock):
    course = Course(lambda: Foretold({"steps=10": 50, "steps=50": 50, "after": 100}))
    course.begun(["steps=10", "steps=50"])
    clock[0] += 10
    course.advanced(1)
    assert course.left == pytest.approx(10)


def test_they_share_it_when_the_clock_goes_on_between_them(monkeypatch):
    ticks = itertools.count(step=0.5)
    monkeypatch.setattr(course_module.time, "monotonic", lambda: next(ticks))
    course = Course(lambda: Foretold({"steps=10": 0, "steps=50": 50}))
    course.begun(["steps=10", "steps=50"])
    course.ended(["steps=10", "steps=50"], cached=False)
    assert [stage.seconds for stage in course.stages.values()] == [0.25, 0.5]


@pytest.mark.parametrize("width", [80, 120])
def test_the_screen_fits_and_names_what_runs_and_what_comes(width):
    labels = [f"images: setting {i} with a long name, ordinary captions" for i in range(20)]
    course = Course(lambda: Foretold(dict.fromkeys(labels, 10)))
    for label in labels[:9]:
        course.begun([label])
        course.ended([label], cached=False)
    course.begun([labels[9]])
    course.advanced(0.5)
    lines = printed(course, width).splitlines()
    assert max(map(len, lines)) <= width and len(lines) <= 14
    assert "5 stages before" in lines[0] and "5 stages after" in lines[-2]
    assert "50%" in " ".join(lines) and lines[-1].split()[0] == "all"


def test_a_folder_and_a_log_are_told_every_so_often(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(heartbeat, "EVERY", 0.05)
    course = Course(lambda: Foretold({"attack: dori on wanda": 10}))
    with caplog.at_level("INFO", logger="dori"), displayed(course, tmp_path, live=True):
        progress.begin(["attack: dori on wanda"])
        progress.advance(0.4)
        time.sleep(0.3)
        told = json.loads((tmp_path / heartbeat.PROGRESS).read_text())
        assert state_of(tmp_path, time.time())[0] == "running"
        progress.end(["attack: dori on wanda"], cached=False)
    assert (told["stage"], told["said"], told["ended"]) == (
        "attack: dori on wanda",
        "40%, about 0 s left",
        False,
    )
    assert not (tmp_path / heartbeat.PROGRESS).exists()
    assert any(line.startswith("attack: dori on wanda: 40%; all: 40%") for line in caplog.messages)
    assert "attack: dori on wanda: begun" in caplog.messages


def test_what_cannot_be_foretold_has_no_share_and_only_a_least_time(clock):
    course = Course(lambda: Foretold({"images: original, captions": 100}, whole=False))
    course.begun(["images: original, captions"])
    clock[0] += 10
    course.advanced(0.5)
    assert course.share is None and course.said == "at least 10 s left"
    course.ended(["images: original, captions"], cached=False)
    course.begun(["images: base, captions"])
    assert course.said == "" and heartbeat.said(course) == "images: base, captions: 0%"
    assert "100%" not in printed(course, 80)


def test_once_only_what_costs_nothing_known_is_left_no_time_is_said(clock):
    course = Course(lambda: Foretold({"images": 100}))
    course.begun(["images"])
    clock[0] += 10
    course.ended(["images"], cached=False)
    course.begun(["measure: original"])
    assert course.said == "100%"


def test_a_job_that_ends_before_its_time_says_so_to_whoever_looks(tmp_path):
    course = Course(lambda: Foretold({"images": 10}))
    with pytest.raises(KeyboardInterrupt), displayed(course, tmp_path, live=False):
        progress.begin(["images"])
        raise KeyboardInterrupt
    state, more = state_of(tmp_path, time.time())
    assert state == "stopped" and more.startswith("images") and more.endswith("the same command goes on")
