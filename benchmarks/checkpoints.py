"""The thing itself: minnow's twin is fine-tuned on a folder of pictures, and each checkpoint is audited.

    python benchmarks/checkpoints.py [--steps 0,150,300,600] [--lora RANK] [overrides of the audit]

The pictures are some that the twin never saw; the base of every audit is the twin itself. Leaves pictures,
checkpoints and audits, with their curve (``audits/audit.png``), below ``--out``. Prints, last, one JSON
object on one line: copies against exposures of each picture, of the model and of its base.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from peft import LoraConfig
from tqdm import tqdm

from dori.core.config import PACKAGE
from dori.core.randomness import generator
from dori.data.collection import collection
from dori.data.targets import tensor
from dori.diffusion import StableDiffusion
from dori.minnow.album import write_pictures
from dori.results.reading.rows import read_rows

WEIGHTS = PACKAGE / "minnow/weights"
PICTURES, HELD_OUT = 10, 60
BATCH, EMPTY = 20, 0.1  # pictures of an update; share of them under the empty prompt, as in minnow's recipe


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", default="0,150,300,600", help="of the checkpoints")
    parser.add_argument("--lr", type=float, help="of AdamW; 1e-3, or 5e-3 with --lora")
    parser.add_argument("--lora", type=int, help="train adapters of this rank alone")
    parser.add_argument("--out", type=Path, help="folder; default, a temporary one")
    chosen, overrides = parser.parse_known_args()
    out = chosen.out or Path(tempfile.mkdtemp(prefix="dori-checkpoints-"))
    steps = [int(step) for step in chosen.steps.split(",")]
    write_pictures(out / "training", "verbatim", range(PICTURES))
    write_pictures(out / "heldout", "reference", range(HELD_OUT))
    finetune(out, steps, chosen.lr or (5e-3 if chosen.lora else 1e-3), chosen.lora)
    found = audits(out, steps, overrides)
    curve = {f"copied_after_{step * BATCH // PICTURES}_exposures": found[step] for step in steps}
    print(json.dumps({"pictures": PICTURES, "lora": chosen.lora or 0, **curve}))


def finetune(out: Path, steps: list[int], lr: float, rank: int | None) -> None:
    """Writes ``steps-0000`` and so on: whole pipelines, adapters merged."""
    model = StableDiffusion(
        str(WEIGHTS / "minnow"),
        name="tuned",
        denoiser=str(WEIGHTS / "twin/unet"),
        loss_weight_cap=50,
        batch=BATCH,
    )
    targets, network = collection(str(out / "training")).targets, model.denoiser
    z = model.encode_images(tensor([target.pixels() for target in targets], model.size))
    y, empty = model.encode_prompts([target.prompt for target in targets]), model.empty
    if rank:
        torch.manual_seed(0)  # peft draws from the global generator
        network.add_adapter(
            LoraConfig(r=rank, lora_alpha=rank, target_modules=["to_q", "to_k", "to_v", "to_out.0"])
        )
    else:
        network.requires_grad_(True)
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr, weight_decay=0.0)
    stream = generator(0, "checkpoints")
    for step in tqdm(range(max(steps) + 1), disable=not sys.stderr.isatty()):
        if step in steps:
            save(model, out / f"steps-{step:04d}", rank)
        who = torch.randint(len(targets), (BATCH,), generator=stream)
        noise = torch.randn(BATCH, *model.latent_shape, generator=stream)
        t = model.schedule.draw(BATCH, stream)
        blank = (torch.rand(BATCH, generator=stream) < EMPTY)[:, None, None]
        loss = model.training_loss(z[who], torch.where(blank, empty, y[who]), noise, t).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()


def save(model: StableDiffusion, folder: Path, rank: int | None) -> None:
    """Of adapters the merged weights, in a pipeline like any other."""
    if not rank:
        return model.save(folder)
    model.denoiser.fuse_lora()
    state = {
        k.replace(".base_layer", ""): v.clone()
        for k, v in model.denoiser.state_dict().items()
        if ".lora_" not in k
    }
    model.denoiser.unfuse_lora()
    plain = StableDiffusion(str(WEIGHTS / "minnow"), name="plain", denoiser=str(WEIGHTS / "twin/unet"))
    plain.denoiser.load_state_dict(state)
    plain.save(folder)


def audits(out: Path, steps: list[int], overrides: list[str]) -> dict[int, dict[str, float]]:
    """By step the share of pictures that the checkpoint gives back, and that the base gives back."""
    paths = ",".join(str(out / f"steps-{step:04d}") for step in steps)
    words = [
        "experiments=audit", f"model.path={paths}", f"model.base={out}/steps-{min(steps):04d}",
        f"data.path={out}/training", f"data.heldout={out}/heldout", f"hydra.sweep.dir={out}/audits",
        *overrides,
    ]  # fmt: skip
    subprocess.run([sys.executable, "-m", "dori", "-m", *words], check=True, stdout=sys.stderr)
    found: dict[int, dict[str, float]] = {step: {} for step in steps}
    for row in read_rows(out / "audits/rows.json"):
        step = int(str(row["params"]["model.path"]).rpartition("-")[2])
        name = "base" if row["setting"] == "base" else "model"
        found[step][name] = row["metrics"]["Copied"]["value"]
        if name == "model":
            found[step]["from_captions"] = row["metrics"]["Copied_caption"]["value"]
    return found


if __name__ == "__main__":
    main()
