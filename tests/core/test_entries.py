"""A cache that others have a hand in: what may not be read, written, removed or locked."""

import errno
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dori.core import entries, locks, stages
from dori.core.entries import Info
from dori.core.errors import InputError
from dori.core.stages import Result, Stages

NOBODY = 65534


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Open to everybody, as pytest's own folders are not; the user's own cache lies in it, too."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o777)
    monkeypatch.setattr(stages, "OWN", str(made / "own"))
    yield made
    for path in made.rglob("*"):
        if path.is_dir():
            path.chmod(0o777)
    shutil.rmtree(made)


def compute(folder: Path) -> Info:
    (folder / "result.txt").write_text("content")
    return {"counted": 3}


def refuses(folder: Path) -> Info:
    raise AssertionError("computed although it is in the cache")


def run(cache: Path, work: Callable[[Path], Info] = compute, name: str = "stage") -> Result:
    return Stages(cache).run(name, {}, work)


def as_another(folder: Path, work: Callable[[], Result]) -> dict[str, Any]:
    """What comes of work in a process whom no right is given: not root, where this one is."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return json.loads((folder / "told.json").read_text())
    told: dict[str, Any] = {"warnings": []}
    handler = logging.Handler()
    handler.emit = lambda record: told["warnings"].append(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger("dori").addHandler(handler)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    try:
        result = work()
        told |= {"cached": result.cached, "folder": str(result.folder.relative_to(folder)),
                 "content": (result.folder / "result.txt").read_text()}  # fmt: skip
    except BaseException as error:
        told["error"] = f"{type(error).__name__}: {error}"
    (folder / "told.json").write_text(json.dumps(told))
    os._exit(0)


def close(cache: Path, folders: int = 0o555, files: int = 0o444) -> None:
    """Nobody may write to the cache, or whatever the modes say."""
    for path in [*cache.rglob("*"), cache]:
        path.chmod(folders if path.is_dir() else files)


def content(cache: Path) -> dict[str, bytes]:
    return {str(p.relative_to(cache)): p.read_bytes() for p in cache.rglob("*") if p.is_file()}


def test_a_cache_that_one_may_only_read_is_used(folder: Path) -> None:
    cache = folder / "cache"
    run(cache)
    close(cache)
    told = as_another(folder, lambda: run(cache, refuses))
    assert told["cached"], told
    assert told["folder"].startswith("cache/stage/")
    assert told["warnings"] == []


def test_what_a_read_only_cache_lacks_goes_into_ones_own(folder: Path) -> None:
    cache = folder / "cache"
    run(cache)
    close(cache)
    for place in ("stage", "other"):  # in a folder that is there, and in none
        shutil.rmtree(folder / "own", ignore_errors=True)
        first = as_another(folder, lambda name=place: Stages(cache).run(name, {"a": 1}, compute))
        again = as_another(folder, lambda name=place: Stages(cache).run(name, {"a": 1}, refuses))
        assert (first["cached"], again["cached"]) == (False, True)
        assert first["folder"].startswith(f"own/{place}/")
        assert first["folder"] == again["folder"]
        (warning,) = first["warnings"]
        assert f"cannot use the cache {cache}" in warning
        assert f"kept in {folder}/own" in warning


def test_without_any_place_to_write_one_sentence_says_so(folder: Path) -> None:
    for name in ("cache", "own"):
        (folder / name).mkdir()
        (folder / name).chmod(0o555)
    told = as_another(folder, lambda: run(folder / "cache"))
    assert told["error"].startswith(f"InputError: cannot use the cache {folder}/own")
    assert "Permission denied; choose another folder with DORI_CACHE or cache=" in told["error"]


def test_a_cache_that_is_not_there_and_cannot_be_made_is_refused(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(InputError, match=f"cannot use the cache {folder}/file/cache.*DORI_CACHE"):
        run(folder / "file" / "cache")
    assert not (folder / "own").exists()


@pytest.mark.parametrize("modes", [(0o777, 0o000), (0o000, 0o666)])
def test_what_cannot_be_read_is_not_removed(folder: Path, modes: tuple[int, int]) -> None:
    """As files of mode 600 are to another user: A1 of the users' findings."""
    cache = folder / "cache"
    first = run(cache)
    before = content(first.folder)
    cache.chmod(0o777)
    first.folder.parent.chmod(0o777)
    for path in first.folder.iterdir():
        path.chmod(modes[1])
    first.folder.chmod(modes[0])
    told = as_another(folder, lambda: run(cache))
    first.folder.chmod(0o777)
    for path in first.folder.iterdir():
        path.chmod(0o666)
    assert content(first.folder) == before
    assert told["folder"].startswith("own/stage/")
    (warning,) = told["warnings"]
    assert "Permission denied" in warning
    assert str(first.folder) in warning


def test_an_error_of_the_file_system_is_no_damage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(folder / "cache")
    os.utime(first.folder / "result.txt", (1, 1))
    digest = entries.digest_file

    def fails(path: Path) -> str:
        if path.parent == first.folder:
            raise OSError(errno.ESTALE, "Stale file handle", str(path))
        return digest(path)

    monkeypatch.setattr(entries, "digest_file", fails)
    assert run(folder / "cache").folder.is_relative_to(folder / "own")
    monkeypatch.undo()
    assert run(folder / "cache", refuses).folder == first.folder


def test_a_damaged_entry_that_cannot_be_removed_is_computed_beside(folder: Path) -> None:
    cache = folder / "cache"
    first = run(cache)
    (first.folder / "result.txt").write_text("contenu")
    close(cache)
    told = as_another(folder, lambda: run(cache))
    assert (told["cached"], told["content"]) == (False, "content")
    assert told["folder"].startswith("own/")
    assert (first.folder / "result.txt").read_text() == "contenu"


def test_a_damaged_entry_whose_files_are_anothers_is_put_aside(folder: Path) -> None:
    """The folder that it lies in may be written to, the entry itself not."""
    cache = folder / "cache"
    first = run(cache)
    (first.folder / "result.txt").write_text("contenu")
    close(cache)
    first.folder.parent.chmod(0o777)
    told = as_another(folder, lambda: run(cache))
    assert (told["content"], told["folder"]) == ("content", str(first.folder.relative_to(folder)))
    assert as_another(folder, lambda: run(cache, refuses))["cached"]


def test_a_lock_file_of_somebody_else_locks(folder: Path) -> None:
    cache = folder / "cache"
    gone = run(cache).folder
    shutil.rmtree(gone)
    gone.with_suffix(".lock").touch()
    gone.with_suffix(".lock").chmod(0o444)
    gone.parent.chmod(0o777)
    told = as_another(folder, lambda: run(cache))
    assert told["folder"] == str(gone.relative_to(folder))
    assert told["warnings"] == []


def test_a_place_that_an_attempt_of_somebody_else_holds_is_left_to_him(folder: Path) -> None:
    cache = folder / "cache"
    gone = run(cache).folder
    shutil.rmtree(gone)
    gone.parent.chmod(0o777)
    entries.partial(gone).mkdir()
    entries.partial(gone).chmod(0o555)
    assert as_another(folder, lambda: run(cache))["folder"].startswith("own/")


def test_no_lock_stays(folder: Path) -> None:
    run(folder / "cache")
    assert not list(folder.rglob("*.lock"))


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF])
def test_a_file_system_without_locks_is_used_with_one_note(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    def fails(*arguments: object) -> None:
        raise OSError(code, os.strerror(code))

    locks._cannot_lock.cache_clear()
    monkeypatch.setattr("fcntl.flock", fails)
    for name in ("one", "two"):
        assert not run(folder / "cache", name=name).cached
        assert run(folder / "cache", refuses, name).cached
    (note,) = caplog.messages
    assert f"the cache {folder}/cache cannot be locked ({os.strerror(code)})" in note
    assert "DORI_CACHE" in note


def test_only_files_that_changed_since_are_hashed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, hashed = run(folder / "cache"), []
    digest = entries.digest_file
    monkeypatch.setattr(entries, "digest_file", lambda path: hashed.append(path.name) or digest(path))
    run(folder / "cache", refuses)
    assert hashed == []
    os.utime(first.folder / "result.txt", (1, 1))  # as a copy of the cache has
    run(folder / "cache", refuses)
    assert hashed == ["result.txt"]


def test_an_entry_as_it_was_written_before_is_good(folder: Path) -> None:
    done = run(folder / "cache").folder / "done.json"
    kept = json.loads(done.read_text())
    del kept["stats"]
    done.write_text(json.dumps(kept))
    assert run(folder / "cache", refuses).info == {"counted": 3}
