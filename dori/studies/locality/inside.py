"""Inside the model: what triggers activate, and which weights pruning methods select for them."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.torch import load_file

from dori.core.files import save_tensors
from dori.core.fingerprints import identity
from dori.core.predict import Predictor
from dori.core.ranks import once
from dori.metrics.intervals import Estimate, point
from dori.pruning import Method
from dori.steps.prune import keeper
from dori.studies.locality.analysis import activations, overlap, pairs
from dori.studies.locality.analysis.members import ORDINARY, TRIGGER, Members, embeddings, of_kind
from dori.studies.locality.row import identities, study_row

if TYPE_CHECKING:
    from dori.diffusion import Diffusion
    from dori.steps.measuring.row import Row
    from dori.steps.run import Run

SETS = ("values", "feed_forward")
LIKE = {pairs.ONE: TRIGGER, pairs.DIFFERENT: TRIGGER, **pairs.BESIDE}


def activation_rows(run: "Run", members: Members, block: int) -> "list[Row]":
    """Mean L2 of the activations at fixed noise, per layer, raw and by the size of the layer's own.

    That size is the root mean square norm of the layer's activations on ordinary prompts.
    """
    model, label = run.diffusion, "activations at fixed noise"
    inputs = {
        "model": model.identity, "members": identities(members), "seed": run.cfg.seed,
        "timestep": model.noise_timestep,
    }  # fmt: skip

    def compute(folder: Path) -> dict:
        layers = {name: layer for some in SETS for name, layer in model.layers(some).items()}
        noise = activations.fixed_noise(model, run.cfg.seed)
        y = embeddings(model, members)
        files = {first: folder / f"part-{block}-{first:05d}.safetensors" for first in range(0, len(y), block)}

        def work(first: int) -> None:
            if not files[first].exists():
                found = activations.block_distances(model, layers, y, noise, first, block)
                save_tensors(found, files[first])

        def merge() -> None:
            whole = activations.whole([load_file(file) for file in files.values()])
            save_tensors(whole, folder / "activations.safetensors")
            for file in folder.glob("part-*"):
                file.unlink()

        Predictor(run.trainer, label).run(model.networks, work, list(files), hooked=True)
        once(merge)
        return {"denoiser_evaluations": activations.samples(len(y), block)}

    result = run.stages.run("activations", inputs, compute, label, by_all=True)
    found = {name: x.numpy() for name, x in load_file(result.folder / "activations.safetensors").items()}
    usual = of_kind(members, ORDINARY) or list(range(len(members)))
    raw = {name: matrix for name, matrix in found.items() if not name.startswith("norm/")}
    scaled = {n: x / np.sqrt((found[f"norm/{n}"][usual] ** 2).mean()) for n, x in raw.items()}
    overall = np.mean(list(scaled.values()), axis=0)
    metrics: dict[str, dict[str, Estimate]] = {group: {} for group in pairs.GROUPS}
    tables = {"Relative_L2": overall} | {f"L2/{n}": x for n, x in raw.items()}
    tables |= {f"Relative_L2/{n}": x for n, x in scaled.items()}
    for name, table in tables.items():
        for group, figure in pairs.of_pairs(table, members).items():
            metrics[group][name] = figure
    metrics[pairs.ONE]["Relative_L2_ratio"] = pairs.compared(overall, members)
    done = result.info["denoiser_evaluations"]
    return [
        study_row(run, group, "activations", figures, result.fingerprint, done)
        for group, figures in metrics.items()
    ]


def selection_of(run: "Run", name: str, method: Method, members: Members) -> overlap.Packed:
    """What a method selects for each member, in stages of a unit or a kind each."""
    chunks: dict[str, Members] = {}
    for member in members:
        chunks.setdefault(member.unit if member.kind == TRIGGER else member.kind, []).append(member)
    parts, keep = [], keeper(run, run.original)
    for some in chunks.values():
        targets = [member.target for member in some]

        def compute(folder: Path, targets: list = targets) -> dict:
            selection = method.select(run.diffusion, targets, run.data, keep)
            save_tensors(overlap.packed(selection.masks), folder / "masks.safetensors")
            return {"denoiser_evaluations": selection.evaluations}

        inputs = {
            "pruning": identity(run.cfg.study.methods[name]), "targets": identities(some),
            "captions": run.data.captions, "ordinary": run.data.ordinary.identity,
        }  # fmt: skip
        folder = keep(f"selection_{name}", inputs, compute)
        parts.append(load_file(folder / "masks.safetensors"))
    return overlap.joined(parts)


def prunable(model: "Diffusion", sizes: dict[str, int]) -> list[int]:
    """How many weights of layers of some ``sizes`` methods choose from: those from the first column on."""
    layers = model.layers([*sizes], loaded=False)
    return [size - layers[name].out_features * model.first_column(name) for name, size in sizes.items()]


def weight_rows(run: "Run", name: str, selection: overlap.Packed, members: Members) -> "list[Row]":
    """IoU of what one method selects for each pair, beside chance; empty pairs apart."""
    shared, counts = overlap.shared(selection)
    sizes = prunable(run.diffusion, overlap.layers(selection))
    tables = {
        "IoU": overlap.iou(shared, counts, np.nan),
        "IoU_with_empty": overlap.iou(shared, counts, 1.0),
        "IoU_chance": overlap.chance(counts, sizes, members),
        "Empty": np.logical_and.outer(counts.sum(1) == 0, counts.sum(1) == 0).astype(float),
    }
    metrics: dict[str, dict[str, Estimate]] = {group: {} for group in pairs.GROUPS}
    for key, table in tables.items():
        for group, figure in pairs.of_pairs(table, members).items():
            metrics[group][key] = figure
    for group, kind in LIKE.items():
        own = counts.sum(1)[of_kind(members, kind)]
        metrics[group]["Selected"] = point(own.mean() if len(own) else np.nan, len(own))
    metrics[pairs.ONE]["IoU_ratio"] = pairs.compared(tables["IoU"], members)
    what = [identity(run.cfg.study.methods[name]), identities(members)]
    return [
        study_row(run, f"{name}: {group}", "weights", figures, what) for group, figures in metrics.items()
    ]
