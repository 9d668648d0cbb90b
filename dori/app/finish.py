"""The end of a job: everything that it leaves in its folder, and what the terminal shows."""

import json
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf
from rich.console import Console

from dori.app.course import Course
from dori.app.findings import findings
from dori.app.needs import check_room
from dori.app.opening import opened, tell_how_to_sync
from dori.app.report import write_report
from dori.app.saving import epochs, history, save_model, write_history
from dori.app.tracking import Tracked, finish, log_history, log_pages, log_results
from dori.core.disk import JOB, room
from dori.core.files import share_file, write_atomically
from dori.defenses import Finetuning
from dori.results.figures.distributions import write_distributions
from dori.results.figures.epochs import write_epochs
from dori.results.figures.grid import write_grid
from dori.results.reading.defects import defects
from dori.results.reading.measured import measured_with
from dori.results.reading.rows import Rows, write_images, write_rows
from dori.results.tables.render import page, show, show_verdict
from dori.results.tables.table import blocks, halves
from dori.results.verdicts.memory import verdicts
from dori.results.verdicts.questions import PAGE

if TYPE_CHECKING:
    from dori.steps.outcome import Outcome, Pages
    from dori.steps.run import Run


class Job:
    """A context for one run: results are written by ``finish``, a failure is told to the logger.

    ``tracked``: what tells the logger of the stages.
    """

    def __init__(self, run: "Run", output: Path, course: Course):
        self.run, self.output, self.course = run, output, course
        self.config: dict[str, Any] = OmegaConf.to_container(run.cfg, resolve=True)  # type: ignore[assignment]
        self.ends = ExitStack()
        check_room(run, output)

    def __enter__(self) -> "Job":
        self.logger = self.ends.enter_context(opened(self.run, self.output))
        self.tracked = Tracked(self.logger, self.course)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self.ends:
            tell_how_to_sync(self.logger)
            finish(self.logger, exit_code=0 if kind is None else 1)

    def finish(self, outcome: "Outcome") -> None:
        """rows.json, timing.json, triggers; images.parquet, grid, plots, report, table.md, or in their place
        the study's own pages; W&B; prints."""
        with room(self.output, JOB):
            stages = self._write_common(outcome)
            if outcome.pages:
                outcome.pages.write(self.output)
                log_pages(self.logger, outcome.rows, self.output / outcome.pages.files[0])
            else:
                self._write(outcome, stages)
        if outcome.pages:
            self._print_pages(outcome.pages)
        else:
            self._print(outcome.rows)

    def _write_common(self, outcome: "Outcome") -> list[dict[str, Any]]:
        """What every study leaves; returns what each stage took."""
        stages = [
            {"name": r.name, "seconds": r.seconds, "cached": r.cached, "denoiser_evaluations": 0,
             "gradient_evaluations": 0, **r.info}
            for r in self.run.stages.results
        ]  # fmt: skip
        write_rows(self.output / "rows.json", outcome.rows)
        write_atomically(self.output / "timing.json", json.dumps(stages, indent=1) + "\n")
        for attacked in outcome.triggers:
            own = f"triggers-{attacked.name.replace('/', '-')}.safetensors"  # a name is not a folder
            share_file(attacked.result.folder / "triggers.safetensors", self.output / own)
        return stages

    def _write(self, outcome: "Outcome", stages: list[dict[str, Any]]) -> None:
        run, out, rows, images = self.run, self.output, outcome.rows, outcome.images
        threshold, mitigated = run.evaluation.made.threshold, outcome.mitigated
        targets = [
            {"name": t.name, "prompt": t.prompt, "kind": t.kind, "image": t.pixels()}
            for t in run.data.targets
        ]
        write_images(out / "images.parquet", images)
        if run.cfg.save_model and mitigated:
            save_model(run, mitigated, rows, targets, self.config, out / "model")
        defense = run.defense.made if run.defense else None
        if isinstance(defense, Finetuning) and (looks := epochs(mitigated)):
            trained = {target.name for target in defense.trained(run.data)}
            shown = [target for target in targets if target["name"] in trained]
            write_epochs(out / "training.png", shown, looks, threshold)
        write_grid(out / "grid.png", rows, images, targets, threshold)
        write_distributions(out / "sscd.png", images, threshold)
        for finding in findings(rows):
            finding.write(out / finding.file)
        write_report(out / "report.html", rows, images, targets, stages, self.config)
        log_results(self.logger, rows, images, out / "grid.png", out / "report.html")
        if lines := history(mitigated):
            write_history(out / "training.csv", lines)
            log_history(self.logger, lines, out / "training.png", self.tracked.epochs)
        write_atomically(out / "table.md", text(rows))

    def _print_pages(self, pages: "Pages") -> None:
        console = Console()
        for line in pages.lines:
            console.print(line, markup=False, highlight=False)
        for name in pages.files:
            console.print(f"{name:20} {self.output / name}", soft_wrap=True)

    def _print(self, rows: Rows) -> None:
        console = Console()
        show(blocks(rows), console)
        for finding in findings(rows):
            show(finding.tables, console)
            for _, verdict in finding.verdicts:
                show_verdict(verdict, console, f"{finding.title}. ")
        for _, verdict in verdicts(rows):
            show_verdict(verdict, console)
        for defect in defects(rows):
            console.print(defect, style="bold", markup=False)
        if weights := measured_with(self.run.settings):
            console.print(f"Measured with {weights}", markup=False, highlight=False)
        console.print(f"What the answers mean: {PAGE}")
        for name in ("report.html", "grid.png", "rows.json"):
            console.print(f"{name:12} {self.output / name}", soft_wrap=True)


def text(rows: Rows) -> str:
    """``table.md``: what the terminal shows, in Markdown."""
    half = halves(rows)
    tables = [*blocks(rows), *([half] if half else [])]
    found = page(tables, findings(rows), [verdict for _, verdict in verdicts(rows)])
    return "\n".join([found, *(f"> {defect}\n" for defect in defects(rows))])
