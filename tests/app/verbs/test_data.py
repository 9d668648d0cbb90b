"""``dori data``: a set that a server on this machine publishes, from its lists to a job's targets."""

import hashlib

import pytest
from omegaconf import OmegaConf

from dori.app.line import CommandLine
from dori.app.verbs.data import command
from dori.core.config import build
from dori.core.errors import InputError
from tests.data.host import gives, jpeg


def listed(web, name: str, labels: str) -> str:
    """The address of a list of rows whose pictures the server gives, with its hash."""
    rows = []
    for place, label in enumerate(labels):
        address = web(f"/{name}/{place}.jpg", gives(jpeg(place + 100 * len(name))))
        rows.append(f"{place};{name} {place};{address};{label}M;{place}\n")
    text = (";Caption;URL;type;Index\n" + "".join(rows)).encode()
    return f"{web(f'/{name}.csv', gives(text))}#sha256={hashlib.sha256(text).hexdigest()}"


@pytest.fixture
def words(web, tmp_path):
    """``data=sd14_memorized`` with the server's lists: three memorized, two controls, two captions."""
    tables = {"memorized": "VTV", "controls": "xx", "ordinary": "xx"}
    found = [f'data.{name}.table="{listed(web, name, labels)}"' for name, labels in tables.items()]
    return [*found, f"cache={tmp_path}"]


def test_a_set_is_fetched_once_and_then_is_data(web, words, tmp_path, capsys):
    with pytest.raises(
        InputError, match=r"memorized.csv is not at hand: run dori data fetch sd14_memorized, or"
    ):
        command(["status", "sd14_memorized", *words])
    assert web.asked == []
    assert command(["fetch", "sd14_memorized", *words]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["memorized", "3", "3", "0", "0", "0"] in lines and ["controls", "2", "2", "0", "0", "0"] in lines
    assert lines[-1] == "5 of 5 pictures are at hand".split()
    assert len(web.asked) == len(set(web.asked)) == 3 + 7
    assert command(["fetch", "sd14_memorized", *words]) == command(["status", "sd14_memorized", *words]) == 0
    assert len(web.asked) == 10
    data = build(CommandLine.read(["data=sd14_memorized", *words]).whole.data)
    assert [target.kind for target in data.targets] == ["verbatim", "verbatim", "template", "seen", "seen"]
    assert len(data.ordinary.images) == 2


def test_what_is_missing_is_told_with_the_reason(web, words, tmp_path, capsys):
    web("/memorized/1.jpg", gives(b"", 404))
    web("/controls/0.jpg", gives(b"<html>"))
    web("/controls/1.jpg", gives(jpeg(900)))  # that of the first memorized row
    assert command(["fetch", "sd14_memorized", *words]) == 1
    out = capsys.readouterr().out
    assert "memorized: 1 x 404 Not Found" in out and "controls: 1 x no picture" in out
    assert "looks like the picture of" in out and "2 of 5 pictures are at hand" in out
    assert str(tmp_path / "published" / "pictures" / "links.csv") in out.replace("\n", "")
    assert web.asked.count("/memorized/1.jpg") == 1
    web("/memorized/1.jpg", gives(jpeg(7)))
    command(["fetch", "sd14_memorized", *words])
    assert web.asked.count("/memorized/1.jpg") == 1
    command(["fetch", "sd14_memorized", "--dead", *words])
    assert "3 of 5 pictures" in capsys.readouterr().out


def test_a_folder_of_ones_own_is_looked_at_and_only_the_rest_is_fetched(web, words, tmp_path, capsys):
    (tmp_path / "own").mkdir()
    for place in (0, 2):
        (tmp_path / "own" / f"000{place}_picture.png").write_bytes(jpeg(place, format="PNG"))
    own = [*words, f"data.images={tmp_path / 'own'}"]
    command(["fetch", "sd14_memorized", *own])
    assert "row number" in capsys.readouterr().out
    assert sorted(path for path in web.asked if path.startswith("/memorized/")) == ["/memorized/1.jpg"]


def test_pictures_that_look_the_same_are_told(web, words, capsys):
    for place in (0, 1, 2):
        web(f"/memorized/{place}.jpg", gives(jpeg(5)))
    command(["fetch", "sd14_memorized", *words])
    out = " ".join(capsys.readouterr().out.split())
    assert "memorized: 1 x looks like the picture of" in out  # verbatim and template are two things
    assert "memorized: the pictures of rows 0, 2 look the same" in out


def test_a_list_that_is_another_one_is_not_kept(web, words, tmp_path):
    web("/controls.csv", gives(b"Caption;URL\nanother;\n"))
    with pytest.raises(InputError, match=r"controls.csv cannot be fetched \(its sha256 is"):
        command(["fetch", "sd14_memorized", *words])
    assert not list((tmp_path / "published" / "lists").glob("*controls.csv"))


@pytest.mark.parametrize("name", ["minnow", "folder"])
def test_what_nobody_published_is_refused(name):
    with pytest.raises(InputError, match=rf"data={name} is no published set"):
        command(["status", name, *(["data.path=x.csv"] if name == "folder" else [])])


def test_a_wrong_name_and_a_wrong_setting_are_answered_with_the_right_one():
    with pytest.raises(InputError, match="did you mean 'sd14_memorized'"):
        command(["status", "sd14_memorised"])
    with pytest.raises(InputError, match="unknown key"):
        command(["status", "sd14_memorized", "data.image=x"])


def test_every_published_set_asks_for_lists_over_https():
    for name in ("sd14_memorized", "sd20_memorized", "coco"):
        node = CommandLine.read([f"data={name}"]).whole.data
        assert node.name == name
        lists = [node[label] for label in ("memorized", "controls", "ordinary") if node[label]]
        assert lists and all(each.table.startswith("https://") for each in lists)
        assert OmegaConf.missing_keys(node) == set()
