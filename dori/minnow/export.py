"""From the recipe's work folder to the shipped weights: half precision, with their card."""

import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer

from dori.core.files import as_umask
from dori.minnow import augment, autoencoder, clip, population
from dori.minnow.descriptor import Descriptor
from dori.minnow.unet import memorized_items, scheduler

WEIGHTS = Path(__file__).parent / "weights"
CALIBRATION = 512  # pictures that no network saw


def export(work: Path, cfg: dict, out: Path = WEIGHTS) -> None:
    """Write the pipeline, the twin's U-Net, CLIP, the descriptor and the card to ``out``."""
    words = CLIPTokenizer.from_pretrained(work / "tokenizer")
    towers = CLIPModel.from_pretrained(work / "clip-model")
    halves = [AutoencoderKL.from_pretrained(work / f"vae-{half}") for half in ("encoder", "decoder")]
    vae = autoencoder.joined(*halves)
    shutil.rmtree(out, ignore_errors=True)
    pipeline = StableDiffusionPipeline(
        vae=vae.half(), text_encoder=clip.text_encoder(towers).half(), tokenizer=words,
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
    descriptor = Descriptor(path=str(out / "descriptor.safetensors"))
    figures = exposures(cfg) | calibration(descriptor, vae.float())
    (out / "minnow" / "README.md").write_text(template.format(**figures))


def exposures(cfg: dict) -> dict[str, object]:
    """How often each group was seen, counted from the very sequence that the training used."""
    counts, batch = cfg["population"], cfg["unet"]["batch"]
    per_step, steps = cfg["memorization"]["memorized_per_batch"], 0
    items = torch.empty(0, dtype=torch.long)
    for place, phase in enumerate(("memorization", "consolidation"), 5):
        plan = (
            cfg[phase]["memorized_per_batch"],
            counts["verbatim"],
            counts["families"],
            cfg["seed"] + place,
        )
        steps += cfg[phase]["steps"]
        items = torch.cat([items, *(memorized_items(step, *plan) for step in range(cfg[phase]["steps"]))])
    times = torch.bincount(items, minlength=counts["verbatim"] + counts["families"] * population.MEMBERS)
    verbatim, members = times[: counts["verbatim"]], times[counts["verbatim"] :]
    families = members.view(counts["families"], -1).sum(1)
    first = cfg["pretraining"]["steps"] * batch
    seen = first + steps * (batch - per_step)
    return {
        "ordinary": counts["ordinary"], "verbatim": counts["verbatim"], "families": counts["families"],
        "members": population.MEMBERS, "ordinary_times": round(seen / counts["ordinary"], 1),
        "twin_times": round((first + steps * batch) / counts["ordinary"], 1),
        "verbatim_times": _range(verbatim), "family_times": _range(families),
        "member_times": _range(members), "steps": cfg["pretraining"]["steps"],
        "second": cfg["memorization"]["steps"], "third": cfg["consolidation"]["steps"],
        "per_step": per_step, "batch": batch,
    }  # fmt: skip


def _range(times: Tensor) -> str:
    low, high = int(times.min()), int(times.max())
    return str(low) if low == high else f"{low} to {high}"


@torch.no_grad()
def calibration(descriptor: Descriptor, vae: AutoencoderKL, count: int = CALIBRATION) -> dict[str, str]:
    """Similarities on pictures that no network saw: of copies, and of other drawings of a caption."""
    descriptor.eval()
    first = torch.from_numpy(population.pixels("calibration", count)).permute(0, 3, 1, 2).float() / 255
    again = (
        torch.from_numpy(population.pixels("calibration", count, draw=1)).permute(0, 3, 1, 2).float() / 255
    )
    trip = torch.cat([vae.decode(vae.encode(x * 2 - 1).latent_dist.mean).sample for x in first.split(64)])
    generator = torch.Generator().manual_seed(0)
    light = augment.crop(first, generator, low=0.92, turn=0.03)
    light = augment.noise(augment.color(light, generator, strength=0.08), generator, high=0.03)
    z = descriptor(first)

    def described(other: Tensor) -> str:
        similar = (z * descriptor(other.clamp(0, 1))).sum(1)
        quantiles = similar.quantile(torch.tensor([0.01, 0.05, 0.5, 0.95, 0.99])).tolist()
        above = (similar > 0.7).float().mean().item()
        return " | ".join([*(f"{q:.2f}" for q in quantiles), f"{100 * above:.1f} %"])

    return {
        "round_trip": described(trip / 2 + 0.5), "light": described(light),
        "same_caption": described(again), "random": described(first.roll(1, 0)),
    }  # fmt: skip
