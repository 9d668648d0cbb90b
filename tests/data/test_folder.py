"""Own data: read from whatever table it comes in, and every broken row named before any work."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dori.core.errors import InputError
from dori.data import KINDS, Data, folder
from tests import tiny


@pytest.fixture
def broken(tmp_path: Path) -> Callable[..., str]:
    """Writes a table of given rows beside one good image; returns what its loading says."""
    Image.fromarray(tiny.picture(0)).save(tmp_path / "good.png")

    def write(text: str) -> str:
        (tmp_path / "targets.csv").write_text(text)
        with pytest.raises(InputError) as error:
            folder(str(tmp_path / "targets.csv"), "all")
        return str(error.value)

    return write


def test_a_table_becomes_targets_in_the_order_of_kinds(table: Path) -> None:
    data = folder(str(table), "all")
    assert [target.kind for target in data.targets] == ["verbatim"] * 2 + ["template"] * 2 + ["seen"] * 2 + [
        "unseen"
    ] * 2
    rows = pd.read_csv(table)
    for target in data.targets:
        row = rows[rows.prompt == target.prompt].iloc[0]
        assert row.kind == target.kind
        with Image.open(table.parent / row.image) as image:
            assert np.array_equal(target.pixels(), np.asarray(image))
    assert len({target.name for target in data.targets}) == len(data.targets)
    assert {target.half for target in data.targets} == {"development", "held_out"}
    assert data.ordinary.captions == []


def test_a_mask_image_says_where_a_template_changes(table: Path) -> None:
    data = folder(str(table), "all")
    expected = np.zeros((tiny.SIDE, tiny.SIDE), bool)
    expected[8:24, 8:24] = True
    for target in data.targets:
        if target.kind == "template":
            assert np.array_equal(target.changing, expected)
        else:
            assert target.changing is None


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_a_limit_takes_the_first_of_each_kind(table: Path, limit: int) -> None:
    everything, some = folder(str(table), "all"), folder(str(table), limit)
    for kind in KINDS:
        assert [t.name for t in some.of(kind)] == [t.name for t in everything.of(kind)][:limit]


@pytest.mark.parametrize("limit", [0, -1, "some", 1.5])
def test_a_limit_that_is_no_number_of_targets_is_refused(table: Path, limit: int | str) -> None:
    with pytest.raises(InputError, match=f"data.targets.*{limit}"):
        folder(str(table), limit)


def test_a_name_stays_with_its_row(table: Path, tmp_path: Path) -> None:
    """Random numbers derive from it: a row appended later must not change the others."""
    text = table.read_text()
    for file in table.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "targets.csv").write_text(text + "a lamp,0.png,verbatim,\n")
    names = [target.name for target in folder(str(tmp_path / "targets.csv"), "all").targets]
    before = [target.name for target in folder(str(table), "all").targets]
    assert [name for name in names if name in before] == before


def test_every_broken_row_is_named_by_its_line(broken: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    whole = (tmp_path / "good.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(tiny.picture(0, 200, 200)).save(tmp_path / "whole.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "whole.jpg").read_bytes()[:900])
    text = broken(
        "prompt,image,kind\n"
        "good,good.png,verbatim\n"
        "lost,lost.png,verbatim\n"
        "text,text.png,seen\n"
        "cut,cut.png,seen\n"
        "cut,cut.jpg,seen\n"
        "wrong,good.png,unsen\n"
        ",good.png,seen\n"
        "  ,good.png,seen\n"
        "none,,seen\n"
        ",lost.png,kind\n"
        "fine,good.png,unseen\n"
    )
    assert "targets.csv has 9 broken rows" in text
    lines = {line.split(":")[0]: line for line in text.splitlines()[1:]}
    assert list(lines) == [f"  line {i}" for i in range(3, 12)]
    assert "lost.png does not exist" in lines["  line 3"]
    for line, name in ((4, "text.png"), (5, "cut.png"), (6, "cut.jpg")):
        assert f"{name} is broken or no image" in lines[f"  line {line}"]
    assert "unknown kind 'unsen'; did you mean 'unseen'?" in lines["  line 7"]
    assert "empty prompt" in lines["  line 8"]
    assert "empty prompt" in lines["  line 9"]
    assert "empty image" in lines["  line 10"]
    # all that is wrong with a row, at once
    assert all(word in lines["  line 11"] for word in ("empty prompt", "unknown kind", "lost.png"))


def test_lines_are_counted_as_an_editor_does(broken: Callable[..., str]) -> None:
    text = broken("prompt,image,kind\n\na boat,good.png,seen\n\na lamp,lost.png,seen\n")
    assert "has 1 broken rows" in text
    assert "line 5: " in text


def test_a_prompt_says_where_it_was_read(table: Path, tmp_path: Path) -> None:
    (tmp_path / "captions.txt").write_text("a red boat\n\na blue lamp\n")
    data = folder(str(table), 1, str(tmp_path / "captions.txt"))
    lines = table.read_text().splitlines()
    *own, one, two = data.prompts
    for (prompt, source), target in zip(own, data.targets, strict=True):
        path, line = source.split(", line ")
        assert (prompt, path) == (target.prompt, str(table))
        assert lines[int(line) - 1].startswith(prompt)
    assert one == ("a red boat", f"{tmp_path}/captions.txt, line 1")
    assert two == ("a blue lamp", f"{tmp_path}/captions.txt, line 3")


@pytest.mark.parametrize("mask", ["lost-mask.png", "targets.csv"])
def test_a_broken_mask_is_named_by_its_line(broken: Callable[..., str], mask: str) -> None:
    text = broken(f"prompt,image,kind,changing\na boat,good.png,template,{mask}\n")
    assert f"{mask}" in text
    assert "line 2: " in text


@pytest.mark.parametrize("prompt", ["None", "NA", "null", "nan", "1984"])
def test_a_word_that_pandas_would_eat_is_a_prompt(tmp_path: Path, prompt: str) -> None:
    Image.fromarray(tiny.picture(0)).save(tmp_path / "good.png")
    (tmp_path / "targets.csv").write_text(f"prompt,image,kind\n{prompt},good.png,seen\n")
    assert [t.prompt for t in folder(str(tmp_path / "targets.csv"), "all").targets] == [prompt]


def test_missing_columns_are_named(broken: Callable[..., str]) -> None:
    assert "lacks the columns ['image', 'kind']" in broken("prompt,url\na boat,x\n")
    assert "needs a column 'prompt'" in broken("name,image,kind\na boat,good.png,seen\n")


@pytest.mark.parametrize("text", ["", "prompt,image,kind\n", "prompt,image,kind\na,b,c,d,e\n1,2\n"])
def test_an_empty_or_unreadable_table_is_refused(broken: Callable[..., str], text: str) -> None:
    assert "targets.csv" in broken(text)


def test_all_kinds_of_table_give_the_same_targets(table: Path, tmp_path: Path) -> None:
    for file in table.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    rows = pd.read_csv(table)
    rows.to_parquet(tmp_path / "targets.parquet")
    renamed = rows.rename(columns={"prompt": "Caption", "image": "Image", "kind": " kind "})
    renamed.to_csv(tmp_path / "semicolons.csv", sep=";")
    expected = [target.identity for target in folder(str(table), "all").targets]
    for name in ("targets.parquet", "semicolons.csv"):
        assert [t.identity for t in folder(str(tmp_path / name), "all").targets] == expected


def test_ordinary_captions_come_with_their_pictures(table: Path, ordinary: Path) -> None:
    data = folder(str(table), 1, str(ordinary))
    assert data.ordinary.captions == tiny.prompts(8, 20)
    images = data.ordinary.tensor((tiny.SIDE, tiny.SIDE), 2, 5)
    assert images.shape == (3, 3, tiny.SIDE, tiny.SIDE)
    assert np.array_equal(images[0].permute(1, 2, 0).numpy(), tiny.picture(102))


def test_ordinary_captions_may_come_without_pictures(table: Path, tmp_path: Path) -> None:
    (tmp_path / "captions.txt").write_text("a red boat\na blue lamp\n")
    data = folder(str(table), 1, str(tmp_path / "captions.txt"))
    assert isinstance(data, Data)
    assert data.ordinary.captions == ["a red boat", "a blue lamp"]
    assert data.ordinary.images == []


def test_broken_rows_of_ordinary_captions_are_named_by_their_lines(
    table: Path, ordinary: Path, tmp_path: Path
) -> None:
    (tmp_path / "good.png").write_bytes((ordinary.parent / "ordinary-0.png").read_bytes())
    (tmp_path / "o.csv").write_text("caption,image\na,good.png\nb,lost.png\n,good.png\nc,\n")
    with pytest.raises(InputError) as error:
        folder(str(table), 1, str(tmp_path / "o.csv"))
    text = str(error.value)
    assert "o.csv has 3 broken rows" in text
    assert [line.split(":")[0] for line in text.splitlines()[1:]] == ["  line 3", "  line 4", "  line 5"]


def pictures(folder: Path, *names: str) -> None:
    for i, name in enumerate(names):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(tiny.picture(i)).save(folder / name)


def test_a_picture_is_found_wherever_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    pictures(tmp_path, "in it/a =(1).png", "home/b.png", "c.png", "deep/d.png")
    (tmp_path / "tables").mkdir()
    names = ["../in it/a =(1).png", "~/b.png", str(tmp_path / "c.png"), r"..\deep\d.png"]
    rows = "".join(f"text {i};{name};seen\n" for i, name in enumerate(names))
    (tmp_path / "tables/t.csv").write_text(f"prompt;image;kind\n{rows}")
    for i, target in enumerate(folder(str(tmp_path / "tables/t.csv"), "all").targets):
        assert np.array_equal(target.pixels(), tiny.picture(i))


def test_what_is_no_file_is_said_by_its_line(broken: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    names = ["http://x.org/1.jpg", "home", "x" * 300, "~nobody-of-that-name/0.png"]
    text = broken("prompt,image,kind\n" + "".join(f"text {i},{name},seen\n" for i, name in enumerate(names)))
    *_, address, house, long, nobody = text.splitlines()
    assert "line 2" in address and "download it" in address
    assert "line 3" in house and "is a folder" in house
    assert "line 4" in long
    assert "line 5" in nobody


def test_a_mask_fits_its_picture(broken: Callable[..., str], tmp_path: Path) -> None:
    Image.new("L", (20, 10)).save(tmp_path / "mask.png")
    text = broken("prompt,image,kind,changing\na boat,good.png,template,mask.png\n")
    assert "line 2: changing" in text
    assert "20 x 10 pixels" in text


@pytest.mark.parametrize(("rows", "said"), [
    ("a,0.png,verbatim\nb,0.png,unseen\n", "has the picture of .*line 2, but calls it unseen"),
    ("a,0.png,seen\nb,1.png,seen\nc,copy.jpg,unseen\n", "line 4 has the picture of .*line 2"),
    ("a,0.png,template\na ,1.png,seen\n", "line 3 has the prompt of .*line 2"),
    ("a,0.png,seen\nb,1.png,seen\na,copy.jpg,seen\n", "line 4 repeats .*line 2"),
])  # fmt: skip
def test_a_picture_is_one_thing_and_counts_once(tmp_path: Path, rows: str, said: str) -> None:
    pictures(tmp_path, "0.png", "1.png")
    Image.fromarray(tiny.picture(0)).save(tmp_path / "copy.jpg", "PNG")  # other name, the same to see
    (tmp_path / "t.csv").write_text(f"prompt,image,kind\n{rows}")
    with pytest.raises(InputError, match=said):
        folder(str(tmp_path / "t.csv"), "all")


def test_pictures_and_prompts_that_share_are_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pictures(tmp_path, "0.png", "1.png", "2.png")
    (tmp_path / "t.csv").write_text(
        "prompt,image,kind\na,0.png,seen\na,1.png,unseen\nb,0.png,seen\nc,2.png,seen\n"
    )
    assert len(folder(str(tmp_path / "t.csv"), "all").targets) == 4
    assert "2 targets share a picture or a prompt" in caplog.text
    assert "line 3" in caplog.text


def test_training_pictures_are_other_ones(table: Path, ordinary: Path) -> None:
    assert folder(str(table), 1, None, str(ordinary)).training
    with pytest.raises(InputError, match=r"ordinary.csv, line 2 has the picture of .*ordinary.csv, line 2"):
        folder(str(table), 1, str(ordinary), str(ordinary))
