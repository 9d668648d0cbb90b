"""Do different methods pick the same neurons for the same trigger? Criteria at equal count."""

from itertools import combinations_with_replacement
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.torch import load_file

from dori.core.files import save_tensors
from dori.core.fingerprints import identity
from dori.metrics.intervals import Estimate, estimate
from dori.pruning import Method, Saliency, Wanda
from dori.studies.locality.analysis import activations, criteria, overlap, pairs
from dori.studies.locality.analysis.members import Members, embeddings
from dori.studies.locality.inside import SETS
from dori.studies.locality.row import identities, study_row

if TYPE_CHECKING:
    from dori.steps.measuring.row import Row
    from dori.steps.run import Run


def criteria_rows(
    run: "Run", methods: dict[str, Method], saliency: Saliency, triggers: Members, share: float
) -> "list[Row]":
    """IoU across criteria at equal count on NeMo's and on Wanda's layers, beside chance.

    Of two criteria the same trigger's selections; of one criterion those of two triggers of an image.
    """
    model, label = run.diffusion, "criteria on both sets of layers"
    wanda = next(
        (method for method in methods.values() if isinstance(method, Wanda)), Wanda(seed=run.cfg.seed)
    )
    inputs = {
        "model": model.identity, "triggers": identities(triggers), "captions": run.data.captions,
        "ordinary": run.data.ordinary.identity, "methods": identity(run.cfg.study.methods),
        "saliency": identity(run.cfg.study.saliency), "seed": run.cfg.seed, "timestep": model.noise_timestep,
    }  # fmt: skip

    def compute(folder: Path) -> dict:
        layers = {name: layer for some in SETS for name, layer in model.layers(some).items()}
        y, targets = embeddings(model, triggers), [member.target for member in triggers]
        usual = model.encode_prompts(run.data.captions)
        noise = activations.fixed_noise(model, run.cfg.seed)
        scores = {
            "nemo": criteria.nemo(model, layers, y, usual, noise),
            "wanda": criteria.wanda(model, layers, y, wanda),
            "saliency": criteria.saliency(model, layers, targets, run.data, saliency),
            "magnitude": criteria.magnitude(model, layers, len(y)),
        }
        flat = {f"{key}/{n}": x.contiguous() for key, found in scores.items() for n, x in found.items()}
        save_tensors(flat, folder / "scores.safetensors")
        pairs_drawn = saliency.evaluations(len(y), min(saliency.ordinary, len(run.data.ordinary.images)))
        walked = wanda.evaluations(len(y), samples=model.samples_at(wanda.guidance))
        return {"denoiser_evaluations": len(y) + len(usual) + walked + pairs_drawn}

    result = run.stages.run("criteria", inputs, compute, label)
    flat = load_file(result.folder / "scores.safetensors")
    metrics: dict[tuple[str, str], dict[str, Estimate]] = {}
    for some in SETS:
        names = list(model.layers(some))
        chosen = {
            key: criteria.highest({n: flat[f"{key}/{n}"] for n in names}, share)
            for key in dict.fromkeys(key.split("/")[0] for key in sorted(flat))
        }
        for a, b in combinations_with_replacement(chosen, 2):
            table = criteria.iou(chosen[a], chosen[b])
            counts, sizes = ([f(x) for x in chosen[a]] for f in (lambda x: x[0].sum(), lambda x: x.shape[1]))
            expected = overlap.expected_iou(counts, counts, sizes)
            groups = pairs.of_pairs(table, triggers)
            metrics.setdefault((a, b), {}).update({
                f"IoU/{some}": groups[pairs.ONE] if a == b else pairs.each(np.diag(table), triggers),
                f"IoU_different/{some}": groups[pairs.DIFFERENT],
                f"IoU_chance/{some}": estimate(expected, expected, expected, len(triggers)),
            })  # fmt: skip
    done = result.info["denoiser_evaluations"]
    return [
        study_row(run, f"{a} and {b}", "criteria", figures, result.fingerprint, done)
        for (a, b), figures in metrics.items()
    ]
