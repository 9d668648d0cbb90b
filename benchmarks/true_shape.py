"""A whole job on a published model's true shape, with random weights: its memory and time.

    python benchmarks/true_shape.py [--shape sd14] [--lists DIR] [--folder DIR] [overrides of the job]

Pipeline, SSCD, CLIP ViT-B/32 and Inception-v3 have the shapes of the published files; prompts and pictures
are made up, or the published lists of ``--lists`` (memorized_laion_prompts.csv and its kin). The job is
``dori model=sd14 data=sd14_memorized`` at its smallest size, on the CPU. The last line is one JSON object.
"""

import argparse
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer, ResNetConfig, ResNetModel

from dori.core.config import PACKAGE
from dori.metrics.networks.inception_v3 import inception_v3
from dori.minnow.world import population
from dori.reference.shapes import SHAPES, written

LISTS = {"memorized": "memorized_laion_prompts.csv", "controls": "unmemorized_laion_prompts.csv",
         "ordinary": "coco2014_val_200.csv"}  # fmt: skip
ROWS = 4
SMALLEST = [
    "data.targets=1", "data.captions=2", "data.missing=skip", "model.images_per_prompt=1", "model.batch=1",
    "model.sampling_steps=2", "pruning.used=2", "attack.steps=2", "attack.pairs=1", "study.baseline=false",
]  # fmt: skip


def random_pipeline(shape: str, folder: Path) -> Path:
    """As :func:`dori.reference.shapes.written`, its holes filled with small random numbers."""
    for file in written(SHAPES[shape], folder).rglob("*.safetensors"):
        state = {name: torch.randn(value.shape).mul_(0.02).half() for name, value in load_file(file).items()}
        save_file(state, file, {"format": "pt"})
    return folder


def measures(folder: Path) -> list[str]:
    """Random SSCD, CLIP and Inception; the overrides that name them."""
    folder.mkdir()
    sscd = {f"backbone.{name}": value for name, value in ResNetModel(ResNetConfig()).state_dict().items()}
    linear = torch.nn.Linear(2048, 512).state_dict()
    save_file(
        sscd | {f"embedding.{name}": value for name, value in linear.items()}, folder / "sscd.safetensors"
    )
    words = CLIPTokenizer.from_pretrained(PACKAGE / "minnow/weights/clip")
    words.model_max_length = 77
    config = CLIPConfig()
    for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
        setattr(config.text_config, name, getattr(words, name))
    CLIPModel(config).save_pretrained(folder / "clip")
    words.save_pretrained(folder / "clip")
    inception, file = inception_v3().state_dict(), folder / "inception.safetensors"
    save_file({**inception, "fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}, file)
    return [
        f"evaluation.descriptor.path={folder}/sscd.safetensors", f"evaluation.alignment.path={folder}/clip",
        f"evaluation.features.path={file}",
        f"+evaluation.features.sha256={hashlib.sha256(file.read_bytes()).hexdigest()[:8]}",
    ]  # fmt: skip


def data(folder: Path, lists: Path | None) -> list[str]:
    """Pictures by row number, and lists; the overrides that name them."""
    for label in ("memorized", "controls"):
        (folder / "images" / label).mkdir(parents=True)
        for i in range(ROWS):
            pixels = population.picture("verbatim" if label == "memorized" else "unseen", i).pixels()
            picture = Image.fromarray(pixels).resize((512, 512))
            picture.save(folder / "images" / label / f"{i:04d}.png")
    if lists is None:
        lists = folder / "lists"
        lists.mkdir()
        for label, name in LISTS.items():
            rows = [
                {
                    "Caption": f"a {label} caption {i}",
                    "URL": "" if label == "ordinary" else f"https://a.test/{i}.png",
                }
                | ({"type": ("VM", "TM")[i % 2]} if label == "memorized" else {})
                for i in range(ROWS)
            ]
            pd.DataFrame(rows).to_csv(lists / name, sep=";")
    tables = [f"data.{label}.table={lists / name}" for label, name in LISTS.items()]
    return [*tables, f"data.images={folder}/images"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--shape", choices=("sd14", "minnow"), default="sd14", help="minnow: to try the script"
    )
    parser.add_argument("--lists", type=Path, help="folder of the published lists")
    parser.add_argument("--folder", type=Path, help="of the stand-ins and the job; some gigabytes")
    given, more = parser.parse_known_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="dori-true-shape-"))
    own = PACKAGE / "minnow/weights/minnow"
    model = own if given.shape == "minnow" else random_pipeline(given.shape, folder / "model")
    words = [
        "model=sd14", f"model.path={model}", "model.dtype=float32", "model.truncate_prompts=true",
        "data=sd14_memorized", *data(folder, given.lists), *measures(folder / "measures"), *SMALLEST,
        f"cache={folder}/cache", f"hydra.run.dir={folder}/job", "trainer.accelerator=cpu", *more,
    ]  # fmt: skip
    begin = time.monotonic()
    subprocess.run([sys.executable, "-m", "dori", *words], check=True, stdout=sys.stderr)
    took = time.monotonic() - begin
    assert (folder / "job/report.html").is_file()
    rows, stages = (json.loads((folder / "job" / name).read_text()) for name in ("rows.json", "timing.json"))
    counted = {
        f"{kind}_evaluations": sum(stage[f"{kind}_evaluations"] for stage in stages)
        for kind in ("denoiser", "gradient")
    }
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6  # kilobytes
    print(json.dumps({"seconds": round(took), "peak_gb": round(peak, 2), "rows": len(rows), **counted}))


if __name__ == "__main__":
    main()
