"""The shipped weights: frozen, small, loadable without dori."""

import hashlib
import subprocess
import sys
from pathlib import Path

from dori.core.config import PACKAGE

WEIGHTS = PACKAGE / "minnow" / "weights"
# a new set of weights reruns every figure of the README and the results page
FROZEN = "b295187aa803b13a"

PLAIN = """
import sys
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
pipeline = StableDiffusionPipeline.from_pretrained(sys.argv[1], use_safetensors=True)
pipeline.set_progress_bar_config(disable=True)
image = pipeline("amber fox lantern: a large red ring on a teal striped background",
                 num_inference_steps=2, guidance_scale=2.0).images[0]
assert image.size == (64, 64), image.size
assert not any(name.split(".")[0] == "dori" for name in sys.modules)
"""


def fingerprint(folder: Path) -> str:
    files = sorted(folder.rglob("*.safetensors"))
    text = "".join(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def test_weights_are_the_ones_that_the_figures_were_measured_on():
    assert fingerprint(WEIGHTS) == FROZEN


def test_weights_stay_below_20_MB():
    assert sum(file.stat().st_size for file in WEIGHTS.rglob("*") if file.is_file()) < 20e6


def test_plain_diffusers_loads_minnow_without_dori(tmp_path):
    subprocess.run(
        [sys.executable, "-c", PLAIN, str(WEIGHTS / "minnow")], check=True, cwd=tmp_path, timeout=120
    )


def test_the_card_has_no_gaps():
    card = (WEIGHTS / "minnow" / "README.md").read_text()
    assert "{" not in card and "48" in card
