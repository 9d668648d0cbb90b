"""Published lists, made-up ones of their layout and the real ones where they lie: what becomes a target."""

import logging
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from dori.core.errors import InputError
from dori.core.fingerprints import digest_file
from dori.data import Listing, published
from dori.data.naming import find, name_of
from tests.data.host import jpeg

KINDS = {"VM": "verbatim", "TM": "template"}


def write_list(path: Path, labels: str | None, count: int = 4) -> Path:
    """As NeMo publishes its lists; ``labels``: a letter for each row, V or T."""
    head = ";Caption;URL" + (";type;mean_sscd;max_sscd" if labels else "") + ";Index\n"
    lines = [
        f"{i};{path.stem} caption {i};https://host.test/{path.stem}/picture-{i}.jpg"
        + (f";{labels[i]}M;0.5;0.6" if labels else "")
        + f";{1000 * len(path.stem) + i}\n"
        for i in range(len(labels or count * "x"))
    ]
    path.write_text(head + "".join(lines))
    return path


@pytest.fixture
def lists(tmp_path):
    """``memorized`` of two verbatim and two template rows, four ``controls``."""
    memorized = Listing(str(write_list(tmp_path / "memorized.csv", "VTVT")), KINDS, "type")
    return {
        "memorized": memorized,
        "controls": Listing(str(write_list(tmp_path / "controls.csv", None)), "unseen"),
    }


@pytest.fixture
def images(tmp_path):
    """A folder of all eight pictures, by row number."""
    for place, label in enumerate(("memorized", "controls")):
        (tmp_path / "images" / label).mkdir(parents=True)
        for i in range(4):
            (tmp_path / "images" / label / f"{i:04d}_x.jpg").write_bytes(jpeg(10 * place + i))
    return tmp_path / "images"


def made(lists, images, tmp_path, **settings):
    return published("made_up", **lists, images=str(images), folder=str(tmp_path / "kept"), **settings)


def test_each_row_becomes_a_target_with_its_picture(lists, images, tmp_path):
    data = made(lists, images, tmp_path)
    assert [(t.name, t.kind, t.prompt) for t in data.targets] == [
        *((f"verbatim/{i:04d}", "verbatim", f"memorized caption {i}") for i in (0, 2)),
        *((f"template/{i:04d}", "template", f"memorized caption {i}") for i in (1, 3)),
        *((f"unseen/{i:04d}", "unseen", f"controls caption {i}") for i in range(4)),
    ]
    for target in data.targets:
        place, label = int(target.name[-4:]), "controls" if target.kind == "unseen" else "memorized"
        assert target.image == images / label / f"{place:04d}_x.jpg"
        assert target.half == ("held_out" if place % 2 else "development")
    assert data.targets[0].source.endswith("memorized.csv, line 2")
    assert data.ordinary.captions == data.captions == []


def test_a_target_is_called_the_same_whatever_is_missing(lists, images, tmp_path, caplog):
    (images / "memorized" / "0000_x.jpg").unlink()
    (images / "controls" / "0001_x.jpg").write_bytes(b"no picture")
    (images / "controls" / "0002_x.jpg").write_bytes(jpeg(12)[:700])
    with caplog.at_level(logging.WARNING):
        data = made(lists, images, tmp_path, missing="skip")
    assert Counter(t.kind for t in data.targets) == {"verbatim": 1, "template": 2, "unseen": 2}
    assert [t.name for t in data.of("verbatim")] == ["verbatim/0002"]
    assert "pictures of 3 of 4 memorized rows" in caplog.text and "of 2 of 4 controls rows" in caplog.text
    few = made(lists, images, tmp_path, missing="skip", targets=1)
    assert [t.name for t in few.targets] == ["verbatim/0002", "template/0001", "unseen/0000"]


def test_a_missing_picture_is_refused_unless_nobody_asks_for_it(lists, images, tmp_path):
    (images / "controls" / "0003_x.jpg").unlink()
    told = r"data=made_up: 1 of 8 pictures .*controls.csv, line 5: not there.*dori data fetch made_up.*skip"
    with pytest.raises(InputError, match=told):
        made(lists, images, tmp_path)
    assert len(made(lists, images, tmp_path, targets=2).targets) == 6


def test_nothing_at_hand_is_refused_also_where_rows_are_skipped(lists, images, tmp_path):
    for path in (images / "controls").iterdir():
        path.unlink()
    with pytest.raises(InputError, match="no picture of the controls rows is at hand"):
        made(lists, images, tmp_path, missing="skip")


@pytest.mark.parametrize("settings", [{"targets": 0}, {"missing": "ignore"}, {"images": "/no/where"}])
def test_settings_that_cannot_be_are_refused(lists, images, tmp_path, settings):
    with pytest.raises(InputError, match=r"must be 1 or more|unknown data.missing|no folder"):
        published("made_up", **lists, **{"images": str(images), "folder": str(tmp_path), **settings})


def test_fetched_pictures_fill_what_a_folder_lacks(lists, images, tmp_path):
    (images / "memorized" / "0001_x.jpg").unlink()
    kept = tmp_path / "kept" / "pictures"
    kept.mkdir(parents=True)
    file = kept / f"{name_of('https://host.test/memorized/picture-1.jpg')}.png"
    file.write_bytes(jpeg(99, format="PNG"))
    (kept / f"{name_of('https://host.test/memorized/picture-2.jpg')}.jpg.tmp").write_bytes(b"half")
    data = made(lists, images, tmp_path)
    assert {t.name: t.image for t in data.targets}["template/0001"] == file


def test_a_control_that_looks_like_a_memorized_picture_is_left_out(lists, images, tmp_path):
    with Image.open(images / "memorized" / "0003_x.jpg") as image:
        image.resize((70, 40)).save(images / "controls" / "0001_x.jpg", quality=40)
    with pytest.raises(
        InputError, match=r"line 3: looks like the picture of .*memorized.csv, line 5, which is temp"
    ):
        made(lists, images, tmp_path)
    data = made(lists, images, tmp_path, missing="skip")
    assert [t.name for t in data.of("unseen")] == ["unseen/0000", "unseen/0002", "unseen/0003"]


@pytest.mark.parametrize("inside", [True, False], ids=["folder", "column"])
def test_a_template_has_the_mask_that_is_called_like_its_picture_or_that_the_list_names(
    lists, images, tmp_path, inside
):
    masks = tmp_path / "masks"
    masks.mkdir()
    mask = np.zeros((64, 96), np.uint8)
    mask[10:20, 30:50] = 255
    Image.fromarray(mask).save(masks / "0001.png")
    Image.fromarray(mask[::-1]).save(masks / "0000.png")  # of a verbatim row
    if not inside:
        table = pd.read_csv(lists["memorized"].table, sep=";", index_col=0)
        table["changing"] = ["", "masks/0001.png", "", ""]
        table.to_csv(lists["memorized"].table, sep=";")
    data = made(lists, images, tmp_path, **({"masks": str(masks)} if inside else {}))
    assert [t.name for t in data.targets if t.changing is not None] == ["template/0001"]
    assert np.array_equal(data.of("template")[0].changing, mask > 0)


def test_masks_of_another_size_or_of_no_template_are_refused(lists, images, tmp_path):
    (tmp_path / "masks").mkdir()
    with pytest.raises(InputError, match="has no mask of these templates"):
        made(lists, images, tmp_path, masks=str(tmp_path / "masks"))
    Image.new("L", (5, 5)).save(tmp_path / "masks" / "0003.png")
    with pytest.raises(InputError, match="has 5 x 5 pixels, but its picture 96 x 64"):
        made(lists, images, tmp_path, masks=str(tmp_path / "masks"))


def test_captions_without_pictures_measure_no_more_than_captions(tmp_path):
    table = tmp_path / "coco.csv"
    table.write_text(";Caption;URL;Index\n" + "".join(f"{i};a dog {i};;{i:04d}\n" for i in range(5)))
    data = published("coco", ordinary=Listing(str(table), "ordinary"), captions=3, folder=str(tmp_path))
    assert data.ordinary.captions == ["a dog 0", "a dog 1", "a dog 2"] and data.ordinary.images == []
    assert len(data.captions) == 5 and data.targets == []


def test_captions_with_pictures_are_pairs(tmp_path):
    table = write_list(tmp_path / "everyday.csv", None)
    (tmp_path / "all" / "ordinary").mkdir(parents=True)
    for i in (0, 1, 3):
        (tmp_path / "all" / "ordinary" / f"picture-{i}.jpg").write_bytes(jpeg(i))
    settings = {
        "ordinary": Listing(str(table), "ordinary"),
        "images": str(tmp_path / "all"),
        "folder": str(tmp_path),
    }
    with pytest.raises(InputError, match="1 of 4 pictures are not at hand"):
        published("coco", **settings)
    data = published("coco", **settings, missing="skip")
    assert data.ordinary.captions == [f"everyday caption {i}" for i in (0, 1, 3)]
    assert [path.stem for path in data.ordinary.images] == [f"picture-{i}" for i in (0, 1, 3)]


NAMES = {
    "hash of the address": lambda e: f"{name_of(e.address)}.jpg",
    "file name in the address": lambda e: f"picture-{e.place}.png",
    "column Index": lambda e: f"{e.index}.webp",
    "row number": lambda e: f"{e.place:09d}.jpg",
}


@pytest.mark.parametrize("by", NAMES)
def test_pictures_are_recognised_by_what_they_are_called(lists, tmp_path, by):
    entries = lists["memorized"].entries(tmp_path, "")
    for entry in entries[1:]:
        file = tmp_path / "own" / "deeper" / NAMES[by](entry)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (tmp_path / "own" / "notes.txt").touch()
    found = find(entries, tmp_path / "own")
    assert found.by == by and {place: path.name for place, path in found.files.items()} == {
        entry.place: NAMES[by](entry) for entry in entries[1:]
    }


def test_numbers_from_one_and_two_pictures_of_a_row_are_refused(lists, tmp_path):
    entries = lists["memorized"].entries(tmp_path, "")
    for name in ("1.jpg", "2.jpg", "3.jpg", "4.jpg"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match="numbered from 1"):
        find(entries, tmp_path)
    (tmp_path / "4.jpg").rename(tmp_path / "0.jpg")
    (tmp_path / "0002.png").touch()
    with pytest.raises(InputError, match=r"two pictures of row 2, 0002\.png and 2\.jpg"):
        find(entries, tmp_path)


def test_a_list_is_the_published_one_or_refused(tmp_path):
    address = "https://host.test/lists/memorized.csv"
    listing = Listing(f"{address}#sha256={'0' * 64}", KINDS, "type")
    assert listing.address == address
    with pytest.raises(InputError, match=f"{address} is not at hand: do this"):
        listing.entries(tmp_path, "do this")
    file = write_list(listing.file(tmp_path), "VT")
    with pytest.raises(InputError, match="is not what was published"):
        listing.entries(tmp_path, "")
    right = Listing(f"{address}#sha256={digest_file(file)}", KINDS, "type")
    assert [entry.kind for entry in right.entries(tmp_path, "")] == ["verbatim", "template"]


def test_labels_that_nobody_explained_are_refused_by_their_lines(tmp_path):
    table = write_list(tmp_path / "memorized.csv", "VTX")
    with pytest.raises(InputError, match=r"1 broken rows:\n  line 4: unknown type 'XM'; did you mean"):
        Listing(str(table), KINDS, "type").entries(tmp_path, "")
    with pytest.raises(InputError, match="unknown kind 'memorised'"):
        Listing(str(table), "memorised")
    with pytest.raises(InputError, match="line 2 is unseen, but memorized are verbatim or template"):
        published("x", memorized=Listing(str(table), "unseen"), folder=str(tmp_path))


def test_webster_s_columns_are_read_from_parquet(tmp_path):
    """Rows that copy nothing are left out; what copies another picture has that one's address."""
    labels = ["MV", "RV", "TV", "N"]
    table = pd.DataFrame(
        {
            "caption": [f"caption {label}" for label in labels], "index": [7, 8, 9, 10],
            "url": [f"http://host.test/{label}.jpg" for label in labels], "overfit_type": labels,
            "retrieved_urls": [[], ["http://host.test/other.jpg", "http://b.test"], ["http://t.test"], []],
        }
    )  # fmt: skip
    table.to_parquet(tmp_path / "list.parquet")
    kinds = {"MV": "verbatim", "RV": "verbatim", "TV": "template", "N": None}
    listing = Listing(str(tmp_path / "list.parquet"), kinds, "overfit_type", {"RV": "retrieved_urls"})
    assert [(e.place, e.kind, e.address, e.index) for e in listing.entries(tmp_path, "")] == [
        (0, "verbatim", "http://host.test/MV.jpg", "7"),
        (1, "verbatim", "http://host.test/other.jpg", "8"),
        (2, "template", "http://host.test/TV.jpg", "9"),
    ]


def test_the_real_lists_are_read_whole(shared, tmp_path):
    """Counted by hand from the file: 112 verbatim and 388 template rows, and as many controls."""
    listing = Listing(str(shared / "memorized_laion_prompts.csv"), KINDS, "type")
    entries = listing.entries(tmp_path, "")
    assert Counter(entry.kind for entry in entries) == {"verbatim": 112, "template": 388}
    assert [entry.place for entry in entries] == list(range(500))
    assert len({entry.address for entry in entries}) == len({entry.index for entry in entries}) == 500
    assert len(Listing(str(shared / "unmemorized_laion_prompts.csv"), "seen").entries(tmp_path, "")) == 500


def test_the_hashes_of_the_presets_are_those_of_the_real_lists(shared):
    from omegaconf import OmegaConf

    from dori.core.config import CONF

    for name in ("sd14_memorized", "sd20_memorized"):
        preset = OmegaConf.load(CONF / "data" / f"{name}.yaml")
        for label in ("memorized", "controls"):
            address, _, sha256 = preset[label].table.partition("#sha256=")
            copy = shared / address.rsplit("/", 1)[1]
            assert not sha256 or digest_file(copy) == sha256


def test_the_real_list_with_a_picture_for_each_row_is_a_data_set(shared, tmp_path):
    """The whole way on 1,000 made-up pictures, called as img2dataset calls them."""
    for label in ("memorized", "controls"):
        (tmp_path / label).mkdir()
    for i in range(500):
        (tmp_path / "memorized" / f"{i:09d}.jpg").write_bytes(jpeg(i))
        (tmp_path / "controls" / f"{i:09d}.jpg").write_bytes(jpeg(1000 + i))
    data = published(
        "sd14_memorized", Listing(str(shared / "memorized_laion_prompts.csv"), KINDS, "type"),
        Listing(str(shared / "unmemorized_laion_prompts.csv"), "seen"),
        Listing(str(shared / "coco2014_val_200.csv"), "ordinary"), images=str(tmp_path), folder=str(tmp_path),
    )  # fmt: skip
    assert Counter(t.kind for t in data.targets) == {"verbatim": 112, "template": 388, "seen": 500}
    assert len(data.ordinary.captions) == len(data.captions) == 200
