"""One step of adversarial fine-tuning as published, against dori's.

    python benchmarks/finetune.py [--targets 8] [--steps 50]

A step: DoRI on a batch of memorized images, then one update of all weights on ordinary pairs and on
surrogates at the embeddings found. The plain loop attacks one image at a time with gradients for
everything; dori attacks the batch at once, gradients for embeddings alone. Both see the same noise
and the same samples. The weights after a step are asserted equal in float64 on a tiny model; then
both are timed on minnow in float32, in turns. The last line is one JSON object.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from dori.app.main import quiet
from dori.core.config import PACKAGE, ROOT
from dori.core.randomness import derive
from dori.data import minnow
from dori.defenses import Finetuning
from dori.defenses.terms.terms import Step
from dori.defenses.training.material import Material
from dori.defenses.training.module import FinetuningModule, placed
from dori.diffusion import StableDiffusion

sys.path.insert(0, str(ROOT))

from tests import tiny
from tests.defenses.conftest import configured, material_of

Weights = dict[str, Tensor]


def plain(module: FinetuningModule, material: Material, optimizer: torch.optim.Optimizer) -> None:
    """The published loop: 50 inner steps, one image after the other, with gradients for weights."""
    settings, diffusion, targets = module.settings, material.diffusion, material.targets
    assert settings.attack is not None
    unet, attack = diffusion.denoiser.requires_grad_(True), settings.attack
    attack = replace(attack, seed=derive(settings.seed, "epoch", 0))
    found = []
    for target in targets:
        y = diffusion.encode_prompts([target.prompt]).clone().requires_grad_(True)
        z = diffusion.encode_images(torch.from_numpy(target.pixels()).permute(2, 0, 1)[None])
        draw, climb = attack.noise(diffusion, [(target, 0)]), attack.optimizer([y])
        for step in range(attack.steps):
            eps, t = draw(step)
            eps, t = eps[0].to(y.dtype), t[0]
            climb.zero_grad()
            unet.zero_grad()
            losses = diffusion.loss(z.expand_as(eps), y.expand(len(t), -1, -1), eps, t)
            losses.mean().backward()
            climb.step()
        found.append(y.detach())
    update(module, material, torch.stack(found), optimizer)


def batched(module: FinetuningModule, material: Material, optimizer: torch.optim.Optimizer) -> None:
    """dori's step."""
    module.adversary.found.clear()
    found = module.adversary(material, material.targets, 0)
    update(module, material, found, optimizer)


def update(module: FinetuningModule, material: Material, y: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """The same on both sides: what is compared is how the embeddings are found."""
    step = Step(0, 0, material.targets, y)
    optimizer.zero_grad()
    for term in module.settings.terms.values():
        samples = term.draw(material, step)
        some = {key: placed(value, y.device, material.diffusion.dtype) for key, value in samples.items()}
        (term.weight * term.loss(material.diffusion, some).mean()).backward()
    nn.utils.clip_grad_norm_(material.diffusion.denoiser.parameters(), module.settings.clip)
    optimizer.step()


def after(step: Callable, material: Material, settings: Finetuning) -> Weights:
    """The weights after one step from the ones that the model has, which are put back."""
    unet = material.diffusion.denoiser
    before = {key: value.clone() for key, value in unet.state_dict().items()}
    module = FinetuningModule(settings, material, dict)
    step(module, material, settings.optimizer(list(unet.parameters())))
    found = {key: value.clone() for key, value in unet.state_dict().items()}
    unet.load_state_dict(before)
    return found


def check() -> None:
    """Equal weights in float64, where Adam's sign of a gradient does not hang on rounding."""
    with tempfile.TemporaryDirectory() as folder:
        path = tiny.build_pipeline(Path(folder) / "pipeline", "epsilon")
        diffusion = StableDiffusion(str(path), name="tiny", dtype="float64", batch=8)
        diffusion.pipeline.text_encoder.double()
        material = material_of(diffusion)
        sgd = ("defense.optimizer._target_=torch.optim.SGD", "defense.optimizer.lr=0.01")
        one, other = (after(step, material, configured(*sgd)) for step in (plain, batched))
        for key, value in one.items():
            torch.testing.assert_close(other[key], value, rtol=1e-5, atol=1e-7)
        start = diffusion.denoiser.state_dict()
        assert any(not torch.equal(start[key], value) for key, value in one.items()), "nothing was learned"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", type=int, default=8)
    parser.add_argument("--steps", type=int, default=50)
    arguments = parser.parse_args()
    quiet()
    check()
    settings = configured(
        f"defense.attack.steps={arguments.steps}", "defense.attack.pairs=8", "defense.attack.batch=auto",
        "defense.terms.ordinary.batch=64", "defense.terms.surrogates.pairs=8", "defense.updates=1",
    )  # fmt: skip
    diffusion = StableDiffusion(str(PACKAGE / "minnow/weights/minnow"), name="minnow", batch=128)
    data = minnow(arguments.targets, 0)
    targets = data.of("verbatim")
    z = torch.randn(64, *diffusion.latent_shape, generator=torch.Generator().manual_seed(0))
    captions = data.captions[:64]
    surrogates = {target.name: z[:4] for target in targets}  # what they show makes no difference to the time
    originals = {target.name: z[:1] for target in targets}
    material = Material(
        diffusion, diffusion, data, targets, originals, surrogates, captions, z, captions[:1], z[:1]
    )
    seconds: dict[str, list[float]] = {"plain": [], "batched": []}
    for name, step in [("batched", batched), ("plain", plain)] * 2:
        begin = time.perf_counter()
        after(step, material, settings)
        seconds[name].append(time.perf_counter() - begin)
        print(f"{name}: {seconds[name][-1]:.1f} s")
    best = {name: min(found) for name, found in seconds.items()}
    speedup = {"step_speedup": round(best["plain"] / best["batched"], 2)}
    print(json.dumps({**speedup, "targets": len(targets), "steps": arguments.steps, **best}))


if __name__ == "__main__":
    main()
