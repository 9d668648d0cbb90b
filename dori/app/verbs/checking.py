"""``dori check WORDS``: every job composed and built, every file opened, nothing computed."""

from pathlib import Path

from omegaconf import DictConfig

from dori.app.jobs import check_all
from dori.app.line import CommandLine
from dori.app.needs import check_room
from dori.results.reading.measured import measured_with


def command(arguments: list[str]) -> int:
    """Says what was looked at. Raises InputError with all that is wrong, with any of the jobs."""
    from dori.app.main import configured

    line, told = CommandLine.read(arguments), ""

    def look(cfg: DictConfig) -> None:
        nonlocal told
        run = configured(cfg)
        check_room(run, Path.cwd())
        weights = measured_with(run.settings)
        measured = f", measured with {weights}" if weights else ""
        told = f"{run.diffusion.name}, {len(run.data.targets)} targets{measured}"

    check_all(line.jobs, line.job, look)
    count = len(line.jobs)
    print(f"{f'{count} jobs are' if count > 1 else 'the job is'} right: {told}; nothing was computed")
    return 0
