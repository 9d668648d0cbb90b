"""``python -m dori.app.workspace ENTITY [PROJECT]``: a view of dori's runs in W&B, with its panels.

Needs ``pip install dori[workspace]`` and an account. Panels for a single job's answer, and for sweeps over
the attack's budget, the amount that is pruned, and defenses.
"""

import sys
from typing import TYPE_CHECKING, Any

from dori.core.errors import InputError

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Section, Workspace

ANSWER = ("original/MR", "mitigated/MR", "attacked/MR", "twin_attacked/MR", "control/unseen/MR")
PRICE = ("mitigated/FID_ratio", "mitigated/KID_difference", "mitigated/A_CLIP")
CURVES = ("curve/MR", "curve/MR_twin", "curve/MR_unseen")


def view(entity: str, project: str = "dori") -> "Workspace":
    """The view, which nobody has stored yet; groups are multiruns, and the answer's columns come first."""
    import wandb_workspaces.workspaces as ws

    columns = [f"summary:{name}" for name in (*ANSWER, *PRICE)]
    sections = [_answer(), _budgets(), _amounts(), _defenses()]
    return ws.Workspace(
        entity=entity, project=project, name="dori", sections=sections,
        runset_settings=ws.RunsetSettings(
            groupby=[ws.Metric("Group")], pinned_columns=["run:displayName", *columns]
        ),
    )  # fmt: skip


def _answer() -> "Section":
    """Is it recalled? The bars under the attack against those of the twin and of pictures never seen."""
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    bars: list[Any] = [wr.BarPlot(title=name, metrics=[name], range_x=(0, 1)) for name in ANSWER]
    return ws.Section(name="Recalled, or injected?", panels=bars, is_open=True)


def _budgets() -> "Section":
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    panels: list[Any] = [
        wr.LinePlot(
            title=f"memorization rate by {axis}",
            x=f"budget/{axis}",
            y=list(CURVES),
            range_y=(0, 1),
            log_x=log,
        )
        for axis, log in (("epsilon", True), ("steps", False))
    ]
    return ws.Section(name="Budgets of the attack", panels=panels, is_open=True)


def _amounts() -> "Section":
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    ratio = wr.Config("pruning/ratio")
    panels = [
        wr.ScatterPlot(title=f"{name} by what is pruned", x=ratio, y=wr.SummaryMetric(name), log_x=True)
        for name in ("mitigated/MR", "attacked/MR", "mitigated/FID_ratio")
    ]
    price = wr.ScatterPlot(
        title="what a mitigation buys for its price",
        x=wr.SummaryMetric("mitigated/FID_ratio"), y=wr.SummaryMetric("attacked/MR"),
    )  # fmt: skip
    return ws.Section(name="How much is pruned", panels=[*panels, price], is_open=True)


def _defenses() -> "Section":
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    by = wr.Config("defense/name")
    bars = [wr.BarPlot(title=name, metrics=[name], groupby=by) for name in ("attacked/MR", *PRICE)]
    training = wr.LinePlot(title="training", x="budget/epochs", y=["training/MR", "training/ordinary_loss"])
    return ws.Section(name="Defenses", panels=[*bars, training], is_open=True)


def main(arguments: list[str]) -> None:
    """Stores the view, and prints its address."""
    if not 1 <= len(arguments) <= 2:
        raise InputError("give your W&B entity, and the project if it is not dori")
    print(view(*arguments).save().url)


if __name__ == "__main__":
    main(sys.argv[1:])
