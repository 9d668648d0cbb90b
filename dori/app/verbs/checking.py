"""``dori check WORDS``: every job composed and built, every file opened, nothing computed."""

from pathlib import Path

from dori.app.jobs import refusal
from dori.app.line import CommandLine
from dori.app.needs import check_room
from dori.core.errors import InputError


def command(arguments: list[str]) -> int:
    """Says what was looked at. Raises InputError with all that is wrong, with any of the jobs."""
    from dori.app.main import configured

    line, problems, told = CommandLine.read(arguments), dict[str, list[str]](), ""
    for place, words in enumerate(line.jobs):
        try:
            with line.job(words) as cfg:
                run = configured(cfg)
                check_room(run, Path.cwd())
            told = f"{run.diffusion.name}, {len(run.data.targets)} targets"
        except InputError as error:
            problems.setdefault(str(error), []).append(str(place))
    if problems:
        raise refusal(problems, len(line.jobs))
    count = len(line.jobs)
    print(f"{f'{count} jobs are' if count > 1 else 'the job is'} right: {told}; nothing was computed")
    return 0
