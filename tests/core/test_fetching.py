"""Published files, fetched from a server on this machine that cuts, lies and leads elsewhere."""

import hashlib
import threading
from pathlib import Path

import pytest

from dori.core import environment, fetching, web
from dori.core.errors import Failure, InputError
from dori.core.fetching import Source, fetch
from tests.server import CONTENT, Server

SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights" / "file.pt"


def left(path: Path) -> list[str]:
    """What lies beside the file."""
    return sorted(each.name for each in path.parent.iterdir())


def test_a_file_is_fetched_once_and_nothing_else_is_left(server: Server, path: Path) -> None:
    for _ in range(2):
        fetch({path: Source(server.at("file.pt"), SHA256)})
    assert path.read_bytes() == CONTENT and left(path) == ["file.pt"]
    assert server.asked == [("file.pt", None)]


def test_a_connection_that_is_cut_goes_on_where_it_ended(server: Server, path: Path) -> None:
    server.cuts = [300_000, 400_000]
    fetch({path: Source(server.at("file.pt"), None)})
    assert path.read_bytes() == CONTENT and left(path) == ["file.pt"]
    first, second, third = (wanted for _, wanted in server.asked)
    assert first is None and second == "bytes=262144-" and third == "bytes=655360-"


def test_a_server_that_brings_nothing_is_asked_no_more_and_a_later_run_goes_on(
    server: Server, path: Path
) -> None:
    server.cuts = [500_000, 0]
    with pytest.raises(InputError, match=r"file\.pt cannot be fetched \(the connection is cut"):
        fetch({path: Source(server.at("file.pt"), SHA256)})
    assert not path.exists() and len(server.asked) == 2
    fetch({path: Source(server.at("file.pt"), SHA256)})
    assert path.read_bytes() == CONTENT and server.asked[-1][1] == "bytes=458752-"
    assert left(path) == ["file.pt"]


@pytest.mark.parametrize("mark", ['"v2"', 'W/"v1"', ""], ids=["another", "weak", "none"])
def test_another_version_is_not_appended_to_the_first(server: Server, path: Path, mark: str) -> None:
    server.cuts = [500_000, 0]
    server.mark = '"v1"' if mark == '"v2"' else mark
    with pytest.raises(InputError):
        fetch({path: Source(server.at("file.pt"), None)})
    server.files["file.pt"], server.mark = CONTENT[::-1], mark
    fetch({path: Source(server.at("file.pt"), None)})
    assert path.read_bytes() == CONTENT[::-1]


def test_a_part_of_nobody_knows_what_is_begun_anew(server: Server, path: Path) -> None:
    path.parent.mkdir()
    path.with_name("file.pt.part").write_bytes(CONTENT[::-1])
    fetch({path: Source(server.at("file.pt"), None)})
    assert path.read_bytes() == CONTENT and server.asked == [("file.pt", None)]


def test_a_run_that_was_killed_before_it_gave_the_file_its_name(server: Server, path: Path) -> None:
    path.parent.mkdir()
    path.with_name("file.pt.part").write_bytes(CONTENT)
    path.with_name("file.pt.etag").write_text(server.mark)
    fetch({path: Source(server.at("file.pt"), SHA256)})
    assert path.read_bytes() == CONTENT and left(path) == ["file.pt"]
    assert [wanted for _, wanted in server.asked] == [f"bytes={len(CONTENT)}-", None]


def test_another_hash_is_refused_and_kept_nowhere(server: Server, path: Path) -> None:
    with pytest.raises(InputError, match=rf"its sha256 is {SHA256}, not 0123.*put it into {path.parent}"):
        fetch({path: Source(server.at("file.pt"), "0123" * 16)})
    assert not path.exists() and "file.pt.part" not in left(path)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("page.pt", "a page, not a file"),
        ("none.pt", "404 Not Found"),
        ("endless/file.pt", "does not say its length"),
    ],
)
def test_what_is_no_file_is_refused(server: Server, path: Path, name: str, problem: str) -> None:
    with pytest.raises(
        InputError, match=rf"file.pt cannot be fetched \(.*{problem}\): download {server.at(name)}"
    ):
        fetch({path: Source(server.at(name), None)})
    assert not path.exists() and "file.pt.part" not in left(path)
    assert len(server.asked) == 1


def test_a_redirect_is_followed_where_it_is_allowed(server: Server, path: Path) -> None:
    fetch({path: Source(server.at(f"to/{server.at('file.pt')}"), SHA256)})
    assert path.read_bytes() == CONTENT and len(server.asked) == 2


def test_redirects_end(server: Server, path: Path) -> None:
    with pytest.raises(InputError, match="leads on 10 times"):
        fetch({path: Source(server.at("to/" + "/to/" * 20), None)})


def test_a_redirect_into_a_private_network_is_refused(
    server: Server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first address passes, as a public one would; where it leads does not."""
    first, check = server.at(f"to/https://127.0.0.1:{server.server_port}/file.pt"), web._check_public
    monkeypatch.delenv(environment.PRIVATE)
    monkeypatch.setattr(
        web, "_check_public", lambda address, schemes: None if address == first else check(address, schemes)
    )
    with pytest.raises(InputError, match=r"127\.0\.0\.1.* is in a private network"):
        fetch({path: Source(first, None)})
    assert len(server.asked) == 1 and not path.exists()


def test_without_https_nothing_is_asked(server: Server, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(environment.PRIVATE)
    with pytest.raises(InputError, match=r"is not https, which DORI_PRIVATE_ADDRESSES=1 would allow"):
        fetch({path: Source(server.at("file.pt"), None)})
    assert not server.asked


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "192.168.0.1", "[::1]", "[fd00::1]", "localhost"]
)
def test_private_addresses_are_refused(host: str, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (environment.PRIVATE, environment.OFFLINE):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(
        InputError, match="is in a private network, which DORI_PRIVATE_ADDRESSES=1 would allow"
    ):
        fetch({path: Source(f"https://{host}/file.pt", None)})


def test_offline_says_in_one_sentence_what_belongs_where(
    server: Server, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(environment.OFFLINE, "1")
    other = path.with_name("other.pt")
    wanted = {each: Source(server.at(each.name), None) for each in (path, other)}
    with pytest.raises(InputError) as told:
        fetch(wanted)
    assert str(told.value) == (
        f"file.pt is not here, and DORI_OFFLINE is set: download {server.at('file.pt')},"
        f" {server.at('other.pt')} elsewhere, and put it into {path.parent}"
    )
    assert not server.asked and not path.parent.exists()
    path.parent.mkdir()
    for each in wanted:
        each.write_bytes(CONTENT)
    fetch(wanted)  # what is there is taken as it is


def test_runs_at_once_fetch_it_once(server: Server, path: Path) -> None:
    runs = [
        threading.Thread(target=fetch, args=({path: Source(server.at("file.pt"), SHA256)},)) for _ in range(4)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert path.read_bytes() == CONTENT and len(server.asked) == 1


def test_a_folder_that_cannot_be_made_names_the_setting(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write .*DORI_CACHE"):
        fetch({tmp_path / "file" / "file.pt": Source(server.at("file.pt"), None)})


def test_a_full_disk_is_said(server: Server, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, *_: object) -> None:
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(fetching, "_go_on", full)
    with pytest.raises(Failure, match="no room, or no quota"):
        fetch({path: Source(server.at("file.pt"), None)})
