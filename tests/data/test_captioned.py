"""Folders of pictures as trainers have them: every usual form of captions, and what is wrong with some."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from dori.core.errors import InputError
from dori.data.captioned import captioned
from dori.data.collection import HELD_OUT, TRAINING, collection
from tests.tiny import picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "pictures"
    for i in range(3):
        place(made / f"{i}.png", i)
    return made


def place(file: Path, seed: int) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(seed)).save(file)
    return file


def captions(path: Path) -> dict[str, str | None]:
    return {row.path.name: row.caption for row in captioned(path)}


ROWS = [{"file_name": f"{i}.png", "text": f"caption, {i}"} for i in range(3)]
WANTED = {f"{i}.png": f"caption, {i}" for i in range(3)}
FORMS: dict[str, Callable[[Path], Path]] = {
    "metadata.jsonl": lambda at: write(at, "metadata.jsonl", "\n".join(map(json.dumps, ROWS))),
    "metadata.csv": lambda at: write(at, "metadata.csv", pd.DataFrame(ROWS).to_csv(index=False)),
    "metadata.parquet": lambda at: (pd.DataFrame(ROWS).to_parquet(at / "metadata.parquet"), at)[1],
    "name.txt": lambda at: beside(at, "txt", "\nsecond line"),
    "name.caption": lambda at: beside(at, "caption", "\n"),
    "a table": lambda at: write(at, "any.csv", pd.DataFrame(ROWS).to_csv(index=False)) / "any.csv",
}


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder


def beside(folder: Path, suffix: str, more: str) -> Path:
    for i in range(3):
        write(folder, f"{i}.{suffix}", f"caption, {i}{more}")
    return folder


@pytest.mark.parametrize("form", FORMS)
def test_captions_are_found_in_every_usual_form(folder: Path, form: str) -> None:
    assert captions(FORMS[form](folder)) == WANTED


def test_a_dreambooth_folder_says_what_its_pictures_are(tmp_path: Path) -> None:
    place(tmp_path / "10_sks dog" / "a.png", 0)
    place(tmp_path / "img" / "20_a_red_boat" / "b.jpg", 1)
    place(tmp_path / "c.webp", 2)
    assert captions(tmp_path) == {"a.png": "sks dog", "b.jpg": "a red boat", "c.webp": None}


def test_hidden_files_and_other_files_are_no_pictures(folder: Path) -> None:
    write(folder, "._0.png", "what macOS leaves")
    write(folder, "notes.md", "none")
    assert len(captioned(folder)) == 3


def test_pictures_without_captions_need_one(folder: Path) -> None:
    with pytest.raises(
        InputError, match=r"3 of 3 pictures .* have no caption, the first is 0.png: set data.c"
    ):
        collection(str(folder))
    found = collection(str(folder), caption="a boat")
    assert [target.prompt for target in found.targets] == ["a boat"] * 3
    assert {target.kind for target in found.targets} == {TRAINING}


def test_broken_pictures_are_left_out_by_name(folder: Path) -> None:
    FORMS["metadata.jsonl"](folder)
    whole = (folder / "1.png").read_bytes()
    (folder / "1.png").write_bytes(whole[: len(whole) // 2])
    (folder / "2.png").unlink()
    found = collection(str(folder))
    assert [target.name for target in found.targets] == ["training/0.png"]
    assert [Path(name).name for name in found.broken] == ["1.png", "2.png"]
    (folder / "0.png").write_bytes(b"")
    with pytest.raises(InputError, match="none of the 3 pictures"):
        collection(str(folder))


def test_a_held_out_picture_of_the_training_set_is_none(folder: Path, tmp_path: Path) -> None:
    for seed in (0, 7):
        place(tmp_path / "held" / f"h{seed}.png", seed)
    found = collection(str(folder), heldout=str(tmp_path / "held"), caption="a boat")
    assert [target.name for target in found.of(HELD_OUT)] == ["held_out/h7.png"]
    assert "same picture as training/0.png" in found.broken["held_out/h0.png"]


def test_outputs_need_neither_captions_nor_a_model(folder: Path, tmp_path: Path) -> None:
    place(tmp_path / "out" / "o.png", 3)
    found = collection(str(folder), generated=str(tmp_path / "out"))
    assert found.prompts == []
    assert [file.name for file in found.generated] == ["o.png"]


@pytest.mark.parametrize(("words", "said"), [
    ({"path": "nowhere"}, "nowhere does not exist: give a folder of pictures"),
    ({"heldout": 1.5}, "data.heldout must be a folder, or a share between 0 and 1, but is 1.5"),
    ({"heldout": "nowhere"}, "nowhere does not exist"),
    ({"generated": "nowhere"}, "nowhere does not exist"),
])  # fmt: skip
def test_what_is_not_there_is_said_in_a_sentence(folder: Path, words: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        collection(**{"path": str(folder), "caption": "a boat", **words})


def test_an_empty_folder_has_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no pictures"):
        collection(str(tmp_path), caption="a boat")
