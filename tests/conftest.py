"""What the tests share: tiny models of another shape than minnow, own pictures, a trainer."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is there; see dori.core.crowd

from collections.abc import Callable
from functools import partial
from pathlib import Path

import lightning
import pytest
import torch
from hypothesis import settings

from dori.core.config import ROOT
from dori.core.predict import Predictor
from dori.diffusion import StableDiffusion
from tests import tiny
from tests.data.host import web  # noqa: F401  fixture
from tests.made_up import images, make_rows, rows, targets  # noqa: F401  fixtures
from tests.server import server  # noqa: F401  fixture

# no test may depend on how fast the machine is
settings.register_profile("dori", deadline=None, max_examples=40, derandomize=True)
settings.load_profile("dori")


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Networks this small are slower on two, and a sum over threads has no fixed order."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def v_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A v-prediction pipeline in diffusers' format."""
    return tiny.build_pipeline(tmp_path_factory.mktemp("v") / "pipeline", "v_prediction")


@pytest.fixture(scope="session")
def epsilon_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build_pipeline(tmp_path_factory.mktemp("epsilon") / "pipeline", "epsilon", seed=5)


@pytest.fixture(scope="session")
def make_diffusion(v_folder: Path, epsilon_folder: Path) -> Callable[..., StableDiffusion]:
    """``make_diffusion("epsilon", batch=4)``: a model of two sampling steps on a tiny pipeline."""
    folders = {"v_prediction": v_folder, "epsilon": epsilon_folder}

    def make(prediction: str = "v_prediction", **settings: object) -> StableDiffusion:
        chosen = {"sampling_steps": 2, "guidance": 2.0, "images_per_prompt": 2, "batch": 8, **settings}
        return StableDiffusion(str(folders[prediction]), name="tiny", **chosen)

    return make


@pytest.fixture(scope="session")
def measures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with ``clip`` and ``descriptor.safetensors`` for ``evaluation``."""
    return tiny.build_measures(tmp_path_factory.mktemp("measures"))


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``targets.csv`` with its pictures: two of each kind."""
    return tiny.build_table(tmp_path_factory.mktemp("targets"))


@pytest.fixture(scope="session")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``ordinary.csv``: captions with pictures."""
    return tiny.build_ordinary(tmp_path_factory.mktemp("ordinary"))


@pytest.fixture(scope="session")
def trainer() -> Callable[..., lightning.Trainer]:
    return partial(
        lightning.Trainer, accelerator="cpu", devices=1, inference_mode=False, logger=False,
        use_distributed_sampler=False, enable_checkpointing=False, enable_model_summary=False,
    )  # fmt: skip


@pytest.fixture(scope="session")
def predictor(trainer: Callable[..., lightning.Trainer]) -> Predictor:
    return Predictor(trainer, "test")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real input files, which is no part of the project."""
    folder = Path(os.environ.get("DORI_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"no real input files at {folder}/data; set DORI_SHARED")
    return folder / "data"
