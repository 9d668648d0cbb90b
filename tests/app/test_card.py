"""The card of a saved model: whose it is, what it tells, and what it leaves out."""

import stat
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import metadata_load

import dori
from dori.app.card import front_matter, warning, without_folders, write_card
from dori.app.saving import licence_of
from dori.results.reading.comparison import comparisons
from dori.results.reading.rows import Rows
from dori.results.verdicts.memory import verdicts

TARGETS = [{"kind": "verbatim", "prompt": f"a secret caption {i}"} for i in range(3)]


def card(path: Path, rows: Rows, base: str, licence: str | None = None, **settings: Any) -> str:
    config = {
        "model": {"name": "sd", "path": base}, "pruning": {"name": "wanda"}, "defense": {"name": "none"},
        "attack": {"name": "dori"}, "seed": 0, **settings,
    }  # fmt: skip
    write_card(path / "README.md", rows, "wanda", "f00d", TARGETS, config, False, licence)
    return (path / "README.md").read_text()


def test_a_base_model_of_the_hub_is_named_with_its_licence(tmp_path: Path, rows: Rows) -> None:
    text = card(tmp_path, rows, "CompVis/stable-diffusion-v1-4", "creativeml-openrail-m")
    front = metadata_load(tmp_path / "README.md")
    assert front["base_model"] == "CompVis/stable-diffusion-v1-4"
    assert front["license"] == "creativeml-openrail-m"
    assert (front["library_name"], front["tags"]) == ("diffusers", ["memorization", "dori"])
    assert f"2507.16880) {dori.__version__}, to make" in text
    assert stat.S_IMODE((tmp_path / "README.md").stat().st_mode) == 0o644


def test_a_folder_of_this_machine_is_not_published(tmp_path: Path, rows: Rows) -> None:
    (tmp_path / "mine").mkdir()
    text = card(tmp_path, rows, str(tmp_path / "mine"))
    front = metadata_load(tmp_path / "README.md")
    assert "base_model" not in front
    assert (front["license"], front["license_name"]) == ("other", "as-the-base-model")
    assert str(tmp_path) not in text
    assert "| base model | mine |" in text


def test_a_licence_that_is_not_known_is_linked() -> None:
    assert "license_link: https://huggingface.co/some/model" in front_matter("some/model", None)


@pytest.mark.parametrize(("content", "licence"), [
    ("---\nlicense: apache-2.0\n---\n# card", "apache-2.0"), ("# no metadata", None), (None, None),
])  # fmt: skip
def test_the_licence_is_read_from_the_base_models_card(
    tmp_path: Path, content: str | None, licence: str | None
) -> None:
    if content:
        (tmp_path / "README.md").write_text(content)
    assert licence_of(tmp_path) == licence


def test_captions_are_listed_only_where_that_is_asked_for(tmp_path: Path, rows: Rows) -> None:
    assert "a secret caption" not in card(tmp_path, rows, "some/model")
    assert "- a secret caption 2\n" in card(tmp_path, rows, "some/model", publish_captions=True)


def test_where_nothing_was_memorized_nothing_is_brought_back(rows: Rows) -> None:
    (found, *_) = comparisons(rows)
    _, verdict = verdicts(rows)[0]
    assert "finds brings back a share of" in warning(found, verdict.code)
    told = warning(found, "not_memorized")
    assert "there was nothing to remove" in told
    assert "brings back" not in told


def test_settings_keep_what_is_no_path(tmp_path: Path) -> None:
    (tmp_path / "masks.csv").write_text("")
    given = {"path": f"{tmp_path}/masks.csv", "list": ["a/b", 1, None], "name": "tmp"}
    assert without_folders(given) == {"path": "masks.csv", "list": ["a/b", 1, None], "name": "tmp"}
