"""The card of a mitigated pipeline: what was removed and how, with figures, and what still succeeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from dori.files import write_atomically
from dori.results.comparison import MEMORIZED, Comparison
from dori.results.estimate import differs, with_interval
from dori.results.render import markdown
from dori.results.rows import Rows
from dori.results.table import blocks
from dori.results.verdict import verdicts

PARTS = ("model", "pruning", "defense", "attack", "seed")


def write_card(
    path: Path, rows: Rows, setting: str, fingerprint: str, targets: Sequence[Mapping[str, Any]],
    config: Mapping[str, Any], lora: bool,
) -> None:  # fmt: skip
    """Write ``README.md`` for the pipeline of ``setting``; ``fingerprint`` is its base model's."""
    comparison, verdict = next(
        (c, verdict) for c, verdict in verdicts(rows) if c.mitigation == setting
    )  # the job's own
    memorized = [target for target in targets if target["kind"] in MEMORIZED]
    counts = {kind: sum(target["kind"] == kind for target in memorized) for kind in MEMORIZED}
    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined)
    text = environment.get_template("card.md.j2").render(
        model=config["model"]["name"], base=config["model"]["path"], fingerprint=fingerprint, setting=setting,
        pruning=config["pruning"]["name"], defense=config["defense"]["name"], lora=lora,
        made="Fine-tuned" if config["defense"]["name"] != "none" else "Pruned",
        counts=", ".join(f"{count} {kind}" for kind, count in counts.items() if count),
        targets=[target["prompt"] for target in memorized], verdict=verdict,
        tables=markdown(blocks(rows)), warning=warning(comparison),
        config=yaml.safe_dump({key: config[key] for key in PARTS}, sort_keys=False, allow_unicode=True),
    )  # fmt: skip
    write_atomically(path, text)


def warning(c: Comparison) -> str:
    """What the attack of the job still reaches, against what it injects into a model without memory."""
    if not c.attack:
        return "It was not attacked: whether the images are gone or only hidden is not known."
    rate = c.figure(c.attacked, c.rate)
    steps = c.params.get("steps")
    told = f"An embedding that {c.attack} ({steps} steps) finds brings back a share of {with_interval(rate)}"
    twin = c.figure(c.attacked_twin, c.rate)
    if rate is None:
        return f"There is no result for {c.attack} on it: whether the images are gone is not known."
    if twin is None:
        return f"{told}. Other attacks, larger budgets and other weights of it were not tried."
    beside = f"{told}; in a twin that never saw the images it reaches {with_interval(twin)}"
    if differs(rate, twin, c.figure(c.attacked, f"{c.rate}_over_twin")):
        return f"{beside}. So images can be brought back: do not rely on it where they must not be."
    return f"{beside}. Other attacks and larger budgets were not tried, and may succeed."
