"""The shipped weights: frozen, small, loadable without dori."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from dori.core.config import PACKAGE, ROOT
from dori.reproduce.runs import weights

WEIGHTS = PACKAGE / "minnow" / "weights"
PLAIN = """
import sys
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
pipeline = StableDiffusionPipeline.from_pretrained(sys.argv[1], use_safetensors=True)
pipeline.set_progress_bar_config(disable=True)
image = pipeline("amber fox lantern: a large animal and a small toy on a pink background",
                 num_inference_steps=2, guidance_scale=2.0).images[0]
assert image.size == (64, 64), image.size
assert not any(name.split(".")[0] == "dori" for name in sys.modules)
"""


@pytest.mark.parametrize("page", ["README.md", "docs/first-run.md", "docs/results/main.md"])
def test_what_the_pages_show_was_measured_on_these_weights(page: str) -> None:
    """New weights rerun ``python -m dori.reproduce``."""
    told = set(re.findall(r"weights `([0-9a-f]{16})`", (ROOT / page).read_text()))
    assert told == {weights()}


def test_weights_stay_below_20_MB():
    assert sum(file.stat().st_size for file in WEIGHTS.rglob("*") if file.is_file()) < 20e6


def test_plain_diffusers_loads_minnow_without_dori(tmp_path):
    subprocess.run(
        [sys.executable, "-c", PLAIN, str(WEIGHTS / "minnow")], check=True, cwd=tmp_path, timeout=120
    )


def test_the_card_has_no_gaps():
    card = (WEIGHTS / "minnow" / "README.md").read_text()
    assert "{" not in card and "96" in card
