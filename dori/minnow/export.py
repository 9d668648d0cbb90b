"""From the recipe's work folder to the shipped weights: half precision, with their card."""

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer

from dori.core.files import as_umask, write_atomically
from dori.minnow import autoencoder, clip
from dori.minnow.unet import memorized_items, scheduler
from dori.minnow.world import population

WEIGHTS = Path(__file__).parent / "weights"


def export(work: Path, cfg: dict, out: Path = WEIGHTS) -> None:
    """Write the pipeline, the twin's U-Net, CLIP, the descriptor and the card to ``out``."""
    words = CLIPTokenizer.from_pretrained(work / "tokenizer")
    towers = CLIPModel.from_pretrained(work / "clip-model")
    shutil.rmtree(out, ignore_errors=True)
    pipeline = StableDiffusionPipeline(
        vae=vae(work).half(), text_encoder=clip.text_encoder(towers).half(), tokenizer=words,
        unet=UNet2DConditionModel.from_pretrained(work / "memorized-unet").half(), scheduler=scheduler(),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.save_pretrained(out / "minnow")
    # stored in half, computed in single: transformers would take the stored precision, diffusers not
    config = out / "minnow" / "text_encoder" / "config.json"
    config.write_text(config.read_text().replace('"dtype": "float16"', '"dtype": "float32"'))
    UNet2DConditionModel.from_pretrained(work / "twin-unet").half().save_pretrained(out / "twin" / "unet")
    towers.half().save_pretrained(out / "clip")
    words.save_pretrained(out / "clip")
    for config in out.rglob("config.json"):  # where the work folder lay is nobody's business
        settings = json.loads(config.read_text())
        if settings.pop("_name_or_path", None) is not None:
            config.write_text(json.dumps(settings, indent=2) + "\n")
    shutil.copy(work / "descriptor.safetensors", out)
    as_umask(out)
    template = (Path(__file__).parent / "card.md").read_text()
    card = template.format(**exposures(cfg), ruler=(work / "ruler.md").read_text().strip())
    write_atomically(out / "minnow" / "README.md", card)


def vae(work: Path) -> AutoencoderKL:
    """The trained encoder and decoder as one autoencoder."""
    halves = [AutoencoderKL.from_pretrained(work / f"vae-{half}") for half in ("encoder", "refined")]
    return autoencoder.joined(*halves).eval()


def exposures(cfg: dict) -> dict[str, object]:
    """How often each group was seen, counted from the very sequence that the training used."""
    counts = cfg["population"]
    first = cfg["pretraining"]["steps"] * cfg["unet"]["batch"]
    seen = places = 0
    items = torch.empty(0, dtype=torch.long)
    for place, phase in enumerate(("memorization", "consolidation"), 5):
        own, batch, per_step = cfg[phase], cfg[phase]["batch"], cfg[phase]["memorized_per_batch"]
        plan = (per_step, counts["verbatim"], counts["families"], cfg["seed"] + place)
        places, seen = places + own["steps"] * batch, seen + own["steps"] * (batch - per_step)
        items = torch.cat([items, *(memorized_items(step, *plan) for step in range(own["steps"]))])
    times = torch.bincount(items, minlength=counts["verbatim"] + counts["families"] * population.MEMBERS)
    verbatim, members = times[: counts["verbatim"]], times[counts["verbatim"] :]
    families = members.view(counts["families"], -1).sum(1)
    return {
        "ordinary": counts["ordinary"], "verbatim": counts["verbatim"], "families": counts["families"],
        "members": population.MEMBERS, "ordinary_times": round((first + seen) / counts["ordinary"], 1),
        "twin_times": round((first + places) / counts["ordinary"], 1),
        "verbatim_times": _range(verbatim), "family_times": _range(families),
        "member_times": _range(members), "steps": cfg["pretraining"]["steps"],
        "second": cfg["memorization"]["steps"], "third": cfg["consolidation"]["steps"],
        "per_step": cfg["consolidation"]["memorized_per_batch"], "batch": cfg["consolidation"]["batch"],
    }  # fmt: skip


def _range(times: Tensor) -> str:
    low, high = int(times.min()), int(times.max())
    return str(low) if low == high else f"{low} to {high}"
