"""evaluation=sd finds its weights: from where they are published, here a server on this machine."""

import hashlib
from pathlib import Path

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from dori.core.code import reached
from dori.core.errors import InputError
from dori.core.fetching import Source
from dori.core.settings import settings
from dori.metrics.networks import published
from dori.metrics.networks.clip import CLIPAlignment
from dori.metrics.networks.inception_v3 import inception_v3
from dori.metrics.networks.published import fetch_published
from dori.results.reading.measured import measured_with
from dori.steps.run import Run
from tests import tiny
from tests.metrics.test_descriptor import published as sscd
from tests.server import Server


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("DORI_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def served(server: Server, measures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Random weights under the published names; their hashes."""
    inception = inception_v3().state_dict() | {
        "fc.weight": torch.zeros(1008, 2048),
        "fc.bias": torch.zeros(1008),
    }
    for name, state in {published.SSCD: sscd(), published.INCEPTION: inception}.items():
        torch.save(state, tmp_path / name)
        server.files[name] = (tmp_path / name).read_bytes()
    for name in published.FILES:
        if (file := measures / "clip" / Path(name).name).is_file():
            server.files[name] = file.read_bytes()
    server.files[f"{published.CLIP}/preprocessor_config.json"] = b"{}"
    hashes = {name: hashlib.sha256(server.files[name]).hexdigest() for name in published.FILES}
    pinned = {
        name: Source(server.at(name), source.sha256 and hashes[name])
        for name, source in published.FILES.items()
    }
    monkeypatch.setattr(published, "FILES", pinned)
    return hashes


@pytest.fixture
def job(served: dict[str, str], v_folder: Path, table: Path, ordinary: Path, measures: Path) -> DictConfig:
    """A job on a tiny pipeline, measured as real models are."""
    words = tiny.study_overrides(v_folder, table, ordinary, measures)
    cfg = tiny.composed(*(word for word in words if "evaluation" not in word))
    cfg.evaluation = configured(served)
    return cfg


def configured(hashes: dict[str, str]) -> DictConfig:
    cfg = tiny.composed("evaluation=sd").evaluation
    OmegaConf.update(cfg, "features.sha256", hashes[published.INCEPTION][:8], force_add=True)
    return cfg


def test_they_are_fetched_once_into_the_folder_of_weights_and_told(
    served: dict[str, str], server: Server, cache: Path, measures: Path
) -> None:
    cfg = configured(served)
    for _ in range(2):
        assert fetch_published(cfg)
        instantiate(cfg).check()
    assert sorted(name for name, _ in server.asked) == sorted(published.FILES)
    weights = cache / "weights"
    assert {str(p.relative_to(weights)) for p in weights.rglob("*") if p.is_file()} == published.FILES.keys()
    told = settings(cfg, "evaluation")
    assert told["evaluation.descriptor.path"] == published.SSCD
    assert told["evaluation.descriptor.path.hash"] == served[published.SSCD][:8]
    assert f"{published.SSCD} {served[published.SSCD][:8]}, {published.CLIP} " in measured_with(told)
    assert measured_with(told).endswith(f"{published.INCEPTION} {served[published.INCEPTION][:8]}")
    # the four files of CLIP are enough
    fetched, whole = CLIPAlignment(weights / published.CLIP), CLIPAlignment(measures / "clip")
    texts = tiny.prompts(3)
    assert torch.equal(fetched.text_features(texts), whole.text_features(texts))


def test_a_job_says_at_once_what_is_missing_offline_and_takes_what_was_put_there(
    job: DictConfig, server: Server, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DORI_OFFLINE", "1")
    with pytest.raises(InputError) as told:
        Run.configured(job)
    first, *lines = str(told.value).splitlines()
    assert first == "3 things are wrong:" and len(lines) == 3
    names = (published.SSCD, f"{published.CLIP}/model.safetensors", published.INCEPTION)
    for line, name in zip(lines, names, strict=True):
        assert "DORI_OFFLINE is set: download" in line and server.at(name) in line
        assert line.endswith(str((cache / "weights" / name).parent))
    for name in published.FILES:
        (cache / "weights" / name).parent.mkdir(parents=True, exist_ok=True)
        (cache / "weights" / name).write_bytes(server.files[name])
    assert published.SSCD in measured_with(Run.configured(job).settings)
    assert not server.asked


def test_a_job_fetches_what_is_missing(job: DictConfig, server: Server, cache: Path) -> None:
    (cache / "weights").mkdir(parents=True)
    (cache / "weights" / published.SSCD).write_bytes(server.files[published.SSCD])
    Run.configured(job)
    assert sorted(name for name, _ in server.asked) == sorted(published.FILES.keys() - {published.SSCD})


def test_fetching_is_no_part_of_what_a_result_depends_on() -> None:
    """Else another version of requests would have everything computed again."""
    for name in ("steps.measuring.evaluation", "metrics.networks.descriptor", "metrics.networks.inception"):
        assert not reached(f"dori.{name}").keys() & {"requests", "tqdm", "dori.core.fetching"}
    assert "requests" not in reached("dori.metrics.networks.clip")


def test_a_file_elsewhere_is_not_fetched(
    served: dict[str, str], server: Server, cache: Path, tmp_path: Path
) -> None:
    cfg = OmegaConf.create({"descriptor": {"path": str(tmp_path / "elsewhere" / published.SSCD)}})
    assert fetch_published(cfg) and not server.asked


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({}, "~/.cache/dori"), ({"XDG_CACHE_HOME": "/x"}, "/x/dori"),
        ({"XDG_CACHE_HOME": "/x", "DORI_CACHE": "/d"}, "/d"),
    ],
)  # fmt: skip
def test_the_cache_lies_where_the_environment_says(
    environment: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("XDG_CACHE_HOME", "DORI_CACHE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    cfg = tiny.composed("evaluation=sd")
    assert cfg.cache == folder
    place = Path(folder).expanduser() / "weights"
    assert cfg.evaluation.descriptor.path == str(place / published.SSCD)
