"""What a model was made of, as its files say it: its card, or what trainers write into and beside a LoRA."""

from pathlib import Path

from huggingface_hub import metadata_load
from safetensors import safe_open

from dori.diffusion.checks.headers import read_json

CARD, PEFT, KOHYA = "README.md", "base_model_name_or_path", "ss_sd_model_name"


def said_by_card(folder: Path) -> str | None:
    """The ``base_model`` of a card on the hub."""
    card = folder / CARD
    said = (metadata_load(card) or {}).get("base_model") if card.is_file() else None
    return said if isinstance(said, str) else None  # of a merge there are several


def said_by_lora(file: Path) -> str | None:
    """peft writes it into ``adapter_config.json``, kohya's sd-scripts into the file, diffusers onto a card.

    Of kohya's only hub ids count: of a file on the trainer's machine nothing but the name is written.
    """
    config = file.with_name("adapter_config.json")
    by_peft = read_json(config).get(PEFT) if config.is_file() else None
    with safe_open(file, "pt") as opened:
        by_kohya = (opened.metadata() or {}).get(KOHYA, "")
    return by_peft or (by_kohya if "/" in by_kohya else None) or said_by_card(file.parent)
