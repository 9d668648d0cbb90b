"""``python -m dori.reference.memory``: what the published models need, in docs/models.md. Takes minutes."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf
from torch import nn

from dori.core.config import CONF, ROOT
from dori.defenses.training.lora import add_lora
from dori.diffusion import pretrained
from dori.diffusion.family import Family
from dori.diffusion.memory import imagined, needs, peak, pull, size, usable
from dori.reference.pages import table
from dori.reference.shapes import SHAPES, written

PAGE = ROOT / "docs/models.md"
BEGIN, END = "<!-- memory: python -m dori.reference.memory -->", "<!-- end of memory -->"
CARDS = [usable(gib * 2**30) for gib in (24, 48, 80)]
MICRO_BATCH = 64  # defense.micro_batch
ADAM = 8  # bytes of its two means for each weight that is trained
ATTACK = [
    "model", "denoiser", "text encoders", "a sample", "at least", "samples on 24, 48, 80 GB",
    "a sample, checkpointed", "at least", "samples on 24, 48, 80 GB",
]  # fmt: skip
TRAINING = ["model", "in full", "samples on 24, 48, 80 GB", "by LoRA", "samples on 24, 48, 80 GB"]


def main() -> None:
    """Writes both tables, one after the other."""
    attacks, trainings = [], []
    for name in SHAPES:
        attacks.append(attack_line(name))
        trainings.append(training_line(name))
        print(attacks[-1], trainings[-1], flush=True)
    before, _, rest = PAGE.read_text().partition(BEGIN)
    made = f"\n\n{table(ATTACK, attacks)}\n{table(TRAINING, trainings)}\n"
    PAGE.write_text(f"{before}{BEGIN}{made}{END}{rest.partition(END)[2]}")


def attack_line(name: str) -> list[str]:
    """In bfloat16, with offload, without and with checkpoints."""
    with TemporaryDirectory() as folder:
        plain, checkpointed = (needs(_model(name, folder, "bfloat16", again)) for again in (False, True))
    cells = [f"`{name}`", _gb(plain.denoiser), _gb(plain.texts)]
    for each in (plain, checkpointed):
        cells += [_gb(each.sample), _gb(each.attack()), _list([each.samples(card) for card in CARDS])]
    return cells


def training_line(name: str) -> list[str]:
    """Adversarial fine-tuning in float32 under bf16-mixed, with offload and checkpoints."""
    lora = instantiate(OmegaConf.load(CONF / "defense/adversarial_lora.yaml").lora)
    cells = [f"`{name}`"]
    with TemporaryDirectory() as folder:
        model = _model(name, folder, "float32", True)
        for config in (None, lora):
            if config and not hasattr(model.skeleton, "add_adapter"):
                return [*cells, "refused", ""]
            least, most = trained(model, config)
            each = (most - least) / (MICRO_BATCH - 1)
            fitting = [min(int((card - least) // each) + 1, MICRO_BATCH) for card in CARDS]
            cells += [_gb(least), _list([max(0, count) for count in fitting])]
    return cells


def trained(model: Family, lora: Any) -> tuple[int, int]:
    """Bytes of a training with one sample in a call, and with ``MICRO_BATCH``.

    Always there are the weights, their average and Adam's means. An update has gradients and activations
    beside them, and the weights in half precision, which autocast keeps. Before it, text encoders visit.
    """

    def choose(denoiser: nn.Module) -> None:
        add_lora(denoiser, lora, 0) if lora else denoiser.requires_grad_(True)

    with imagined(model, choose) as other:
        denoiser = other.denoiser
        moved = sum(weight.numel() for weight in denoiser.parameters() if weight.requires_grad)
        texts = sum(size(getattr(other.pipeline, name)) for name in other.components.parts if "text" in name)

        def update(samples: int) -> int:
            denoiser.zero_grad()
            with torch.autocast("cpu", torch.bfloat16):
                return peak(lambda: pull(other, samples))

        resident = 2 * size(denoiser) + ADAM * moved
        one, many = (resident + max(update(count), texts) for count in (1, MICRO_BATCH))
    return one, many


def _model(name: str, folder: str, dtype: str, checkpointed: bool) -> Family:
    place = Path(folder) / "pipeline"
    if not place.exists():
        written(SHAPES[name], place)
    return pretrained(str(place), name=name, dtype=dtype, offload=True, gradient_checkpointing=checkpointed)


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f}"


def _list(counts: list[int]) -> str:
    return ", ".join(str(count) if count else "none" for count in counts)


if __name__ == "__main__":
    main()
