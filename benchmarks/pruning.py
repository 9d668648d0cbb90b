"""NeMo and Wanda as published, one call at a time, against dori's; on minnow, with equal results.

    python benchmarks/pruning.py [--prompts 2]

The plain references live in tests/pruning. U-Net samples are counted against the formulas of the
released code: seeds (2 + 3 I + 2 + 2 + 2 L + 2 N + 2) for NeMo; for Wanda 51 calls with both halves of
the guidance, for each prompt and as often for the empty one. Both select in turns, on one thread or as
many as torch takes. The last line is one JSON object.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from dori.app.main import quiet
from dori.core.config import CONF, ROOT, build
from dori.data import Data, Target, minnow
from dori.diffusion import StableDiffusion
from dori.pruning import NeMo, Wanda
from dori.pruning.nemo.statistics import Statistics

sys.path.insert(0, str(ROOT))

from tests.pruning.nemo_reference import Reference
from tests.pruning.wanda_reference import reference

PUBLISHED = 51 * 2 * 2  # samples of Wanda's released code for a prompt


def keeping() -> Callable[..., Path]:
    """A folder per thing to keep but for neurons; what ordinary captions give is no part of what is timed."""
    kept: dict[str, Path] = {}

    def keep(name: str, inputs: dict[str, Any], compute: Callable[[Path], dict]) -> Path:
        place = f"{name} {inputs}"
        if place not in kept or name == "neurons":
            kept[place] = Path(tempfile.mkdtemp())
            compute(kept[place])
        return kept[place]

    return keep


def window_of(cfg: Any) -> dict[str, Any]:
    """A model's noise similarity in torchmetrics' own words; without a data range where as released."""
    told = {"kernel_size": cfg.kernel_size, "gaussian_kernel": cfg.gaussian, "betas": cfg.betas}
    return told if cfg._target_.endswith("Released") else {**told, "data_range": 1.0}


def nemo(
    diffusion: StableDiffusion, method: NeMo, targets: list[Target], data: Data, window: dict[str, Any]
) -> dict[str, float]:
    keep = keeping()
    facts = method.select(diffusion, targets[:1], data, keep).facts
    layers = diffusion.layers("values")
    with torch.no_grad():
        usual = Statistics.measured(diffusion, layers, diffusion.encode_prompts(data.captions))
    same, evaluations, published, plain_seconds, seconds = True, 0, 0, 0.0, 0.0
    for target in targets:
        start = time.perf_counter()
        plain = Reference(diffusion, method, window, target.prompt, usual.mean, usual.std)
        expected = plain.run(facts["threshold"])
        plain_seconds += time.perf_counter() - start
        start = time.perf_counter()
        selection = method.select(diffusion, [target], data, keep)
        seconds += time.perf_counter() - start
        found = [part.nonzero().flatten().tolist() for part in selection.masks[0].values()]
        identical = found == [sorted(set(neurons)) for neurons in expected]
        same &= identical
        evaluations += selection.evaluations
        published += plain.published
        print(
            f"nemo  {target.name}  neurons {sum(map(len, found))}  I {plain.iterations}"
            f"  L {plain.layer_tests}  N {plain.neuron_tests}"
            f"  samples {plain.published} -> {selection.evaluations}"
            f"  {'identical' if identical else 'DIFFERENT'}"
        )
    return {
        "nemo_identical": same, "nemo_evaluations_ratio": evaluations / published,
        "nemo_speedup": plain_seconds / seconds,
    }  # fmt: skip


def wanda(diffusion: StableDiffusion, method: Wanda, targets: list[Target]) -> dict[str, float]:
    prompts = [target.prompt for target in targets]
    start = time.perf_counter()
    expected = reference(diffusion, method, prompts)
    plain_seconds = time.perf_counter() - start
    start = time.perf_counter()
    found = method.mask(diffusion, prompts)
    seconds = time.perf_counter() - start
    different = sum(int((found[name] != part).sum()) for name, part in expected.items())
    print(f"wanda {len(prompts)} prompts  weights that differ {different}")
    return {
        "wanda_identical": different == 0,
        "wanda_evaluations_ratio": method.evaluations(len(prompts)) / (PUBLISHED * len(prompts)),
        "wanda_speedup": plain_seconds / seconds,
    }


def main() -> None:
    from hydra import compose, initialize_config_dir

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=2, help="memorized prompts for NeMo")
    parser.add_argument("--pool", type=int, default=16, help="memorized prompts for Wanda")
    parser.add_argument("--dtype", default="float64", help="in float64 rounding decides nothing")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    quiet()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfgs = {
            "nemo": compose("config", ["pruning=nemo"]),
            "wanda": compose(
                "config", ["pruning=wanda", "pruning.base=empty", "pruning.scheduler=published"]
            ),
        }
    diffusion = build(cfgs["nemo"].model, dtype=arguments.dtype, twin=None)  # both sides run in it
    data = minnow(max(arguments.prompts, arguments.pool), 0)
    targets = data.of("verbatim")
    window = window_of(cfgs["nemo"].model.noise_similarity)
    print(f"{arguments.dtype}, {arguments.threads} threads", flush=True)
    figures = nemo(diffusion, build(cfgs["nemo"].pruning), targets[: arguments.prompts], data, window)
    figures |= wanda(diffusion, build(cfgs["wanda"].pruning), targets[: arguments.pool])
    assert figures["nemo_identical"] and figures["wanda_identical"], "the selections differ"
    print(json.dumps({k: v if isinstance(v, bool) else round(v, 3) for k, v in figures.items()}))


if __name__ == "__main__":
    main()
