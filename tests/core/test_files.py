"""Files are whole, and as the umask says, whichever library writes them."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel

from dori.core.files import as_umask, replace_file, save_tensors, share_file, write_atomically
from tests import tiny


@pytest.fixture(params=[0o002, 0o022, 0o077])
def rights(request: pytest.FixtureRequest) -> Iterator[int]:
    """What a new file may be under some umask."""
    before = os.umask(request.param)
    yield 0o666 & ~request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_files_have_the_rights_of_the_umask(tmp_path: Path, rights: int) -> None:
    save_tensors({"a": torch.ones(3)}, tmp_path / "a.safetensors", {"recipe": "none"})
    write_atomically(tmp_path / "b.json", "{}")
    torch.save({}, tmp_path / "c.pt")
    replace_file(tmp_path / "d.pt", lambda tmp: os.replace(tmp_path / "c.pt", tmp))
    assert {path.name: mode(path) for path in tmp_path.iterdir()} == dict.fromkeys(
        ("a.safetensors", "b.json", "d.pt"), rights
    )


def test_what_a_killed_attempt_left_lends_no_rights(tmp_path: Path, rights: int) -> None:
    (tmp_path / "a.tmp").touch(0o600)
    (tmp_path / "a.tmp").chmod(0o400)
    write_atomically(tmp_path / "a", "whole")
    assert (mode(tmp_path / "a"), (tmp_path / "a").read_text()) == (rights, "whole")


def test_a_saved_network_has_the_rights_of_the_umask(tmp_path: Path, rights: int) -> None:
    tiny.build_unet(0).save_pretrained(tmp_path / "model" / "unet")
    as_umask(tmp_path)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} == {".json", ".safetensors"}
    assert {mode(path) for path in files} == {rights}
    UNet2DConditionModel.from_pretrained(tmp_path / "model" / "unet")


@pytest.mark.parametrize("linked", [True, False])
def test_a_shared_file_is_there_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linked: bool) -> None:
    def refuses(*arguments: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    (tmp_path / "one").write_text("content")
    (tmp_path / "two").write_text("old")
    if not linked:
        monkeypatch.setattr("os.link", refuses)
    share_file(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "two").read_text() == "content"
    assert (tmp_path / "two").samefile(tmp_path / "one") == linked


@pytest.mark.parametrize("content", ["text", b"bytes"])
def test_a_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | bytes
) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def dies(self: Path, data: bytes) -> int:
        with self.open("wb") as file:
            file.write(data[:1])
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", dies)
        with pytest.raises(KeyboardInterrupt):
            write_atomically(path, content)
    assert path.read_text() == "old"
    write_atomically(path, content)
    assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_gets_its_name_when_it_is_whole(tmp_path: Path) -> None:
    def half(tmp: Path) -> None:
        tmp.write_text("ha")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replace_file(tmp_path / "file.png", half)
    assert not (tmp_path / "file.png").exists()
    replace_file(tmp_path / "file.png", lambda tmp: tmp.write_text("half"))
    assert [p.name for p in tmp_path.iterdir()] == ["file.png"]
    assert (tmp_path / "file.png").read_text() == "half"
