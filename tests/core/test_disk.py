"""A full disk is one sentence, whichever library meets it."""

import errno
import os
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from dori.core.disk import CACHE, is_full, room
from dori.core.entries import Info
from dori.core.errors import Failure
from dori.core.stages import Stages


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A folder with room for 40 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", folder], check=False).returncode:
        pytest.skip("mounting needs root")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


LARGE = torch.zeros(100, 1000)


def saves_checkpoint(folder: Path) -> None:
    with (folder / "a.ckpt").open("wb") as file:
        torch.save({"weights": LARGE}, file)


def saves_picture(folder: Path) -> None:
    picture = torch.randint(256, (300, 300, 3), dtype=torch.uint8).numpy()
    Image.fromarray(picture).save(folder / "a.png")


WRITERS = {
    "safetensors": lambda folder: save_file({"weights": LARGE}, folder / "a.safetensors"),
    "torch": saves_checkpoint,
    "PIL": saves_picture,
    "Python": lambda folder: (folder / "a").write_bytes(bytes(100_000)),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_one_sentence(small: Path, name: str) -> None:
    """And with room made, the stage is done."""

    def compute(folder: Path) -> Info:
        WRITERS[name](folder)
        return {}

    with pytest.raises(Failure, match=f"^no room, or no quota, is left in {small} .* DORI_CACHE or cache="):
        Stages(small).run("stage", {}, compute)
    subprocess.run(["mount", "-o", "remount,size=10m", small], check=True)
    assert not Stages(small).run("stage", {}, compute).cached
    assert Stages(small).run("stage", {}, compute).cached


def raised(*chain: BaseException) -> BaseException:
    for error, cause in pairwise(chain):
        error.__cause__ = cause
    return chain[0]


@pytest.mark.parametrize(("error", "full"), [
    (OSError(errno.ENOSPC, "No space left on device"), True),
    (OSError(errno.EDQUOT, "Disk quota exceeded"), True),
    (OSError("[Errno 28] Error writing bytes to file. Detail: [errno 28] No space left on device"), True),
    (RuntimeError("I/O error: Disk quota exceeded (os error 122)"), True),
    (raised(ValueError("a job failed"), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))), True),
    (PermissionError(errno.EACCES, "Permission denied"), False),
    (RuntimeError("I/O error: Permission denied (os error 13)"), False),
    (ValueError("28"), False),
])  # fmt: skip
def test_what_counts_as_full(error: BaseException, full: bool, tmp_path: Path) -> None:
    assert is_full(error) == full
    with pytest.raises(Failure if full else type(error)), room(tmp_path, CACHE):
        raise error


def test_the_sentence_says_what_the_run_needs(tmp_path: Path) -> None:
    with (
        pytest.raises(Failure, match=r"free of about 18.3 GB that this run writes\): make"),
        room(tmp_path, CACHE, 18_300_000_000),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")
