"""What a job hands out of a mitigation: the pipeline with its card, and how the training went."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from huggingface_hub import metadata_load
from safetensors.torch import load_file
from torch import Tensor

from dori.app.card import write_card
from dori.core.files import share_file, write_atomically
from dori.results.reading.rows import Rows

if TYPE_CHECKING:
    from dori.steps.run import Run
    from dori.steps.subjects import Subject

LORA = "pytorch_lora_weights.safetensors"


def save_model(
    run: "Run", subject: "Subject", rows: Rows, targets: Sequence[Mapping[str, Any]],
    config: Mapping[str, Any], folder: Path,
) -> None:  # fmt: skip
    """The mitigated pipeline in diffusers' format, its adapters if it has any, and a card."""
    with subject.applied() as diffusion:
        diffusion.save(folder)
    adapters = subject.made.folder / LORA if subject.made else None
    lora = adapters is not None and adapters.exists()
    if lora:
        (folder / "lora").mkdir(exist_ok=True)
        share_file(adapters, folder / "lora" / LORA)  # type: ignore[arg-type]
    licence = licence_of(run.diffusion.folder)
    write_card(
        folder / "README.md", rows, subject.name, run.diffusion.fingerprint, targets, config, lora, licence
    )  # fmt: skip


def licence_of(folder: Path) -> str | None:
    """What the card of a model's folder says, if it has one."""
    card = folder / "README.md"
    found = (metadata_load(card) or {}).get("license") if card.is_file() else None
    return str(found) if found else None


def history(subject: "Subject | None") -> list[dict[str, float]]:
    """The lines of a training, one per epoch that was looked at; none where nothing was trained."""
    folder = _trained(subject)
    return json.loads((folder / "training.json").read_text())["history"] if folder else []


def epochs(subject: "Subject | None") -> dict[int, dict[str, Tensor]]:
    """What the attack brought at each of them, where the training was watched by one."""
    folder = _trained(subject)
    found = sorted(folder.glob("epoch-*.safetensors")) if folder else []
    return {int(path.stem.partition("-")[2]): load_file(path) for path in found}


def _trained(subject: "Subject | None") -> Path | None:
    if subject is None or subject.made is None or subject.defense == "none" or subject.guard is not None:
        return None  # made by pruning, or not at all
    return subject.made.folder if (subject.made.folder / "training.json").exists() else None


def write_history(path: Path, lines: Sequence[Mapping[str, float]]) -> None:
    """``training.csv``."""
    write_atomically(path, pd.DataFrame(lines).to_csv(index=False))
