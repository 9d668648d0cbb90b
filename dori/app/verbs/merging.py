"""``dori merge FOLDER``: what the driver of a multirun does last, for one that is gone."""

from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from dori.app.jobs import job_folders, problems
from dori.app.multirun import merge
from dori.core.errors import InputError


def command(arguments: list[str]) -> int:
    """Returns 0, or 1 where jobs are missing. Raises InputError for a folder without jobs."""
    if len(arguments) != 1:
        raise InputError("give one folder: dori merge FOLDER, the multirun's hydra.sweep.dir")
    folder = Path(arguments[0])
    if not job_folders(folder):
        raise InputError(f"there are no jobs of a multirun below {folder}; give its hydra.sweep.dir")
    file = folder / "multirun.yaml"
    config = OmegaConf.load(file) if file.exists() else OmegaConf.create()
    assert isinstance(config, DictConfig)
    merge(folder, OmegaConf.select(config, "hydra.callbacks.merge_rows.x"), config)
    return 1 if problems(folder) else 0
