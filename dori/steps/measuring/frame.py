"""One line for every image of targets: what the plots, the grid and ``images.parquet`` are made of."""

import pandas as pd
import torch

from dori.data.targets import Target
from dori.diffusion.images import file_name
from dori.steps.measuring.features import Features
from dori.steps.measuring.row import params_of
from dori.steps.run import Run
from dori.steps.subjects import Pictures


def image_frame(
    run: Run, pictures: Pictures, similar: Features, features: Features, base: Features, order: list[Target]
) -> pd.DataFrame:
    """One row per image: setting, budget, kind, target, prompt, restart, seed, similarities, file."""
    names = [target.name for target in order]
    each = pictures.seeds // pictures.restarts
    params = params_of(run, pictures)
    spent = {key: params.get(key) for key in ("steps", "epsilon")}
    # one type of column, whatever is attacked
    budget = {key: float("nan" if value is None else value) for key, value in spent.items()}
    table = []
    for i, target in enumerate(pictures.targets):
        first = base["sscd"][names.index(target.name)]
        gen = torch.cosine_similarity(features["sscd"][i], first.repeat(pictures.restarts, 1), dim=-1)
        clip = torch.cosine_similarity(features["clip"][i], features["text"][i][None], dim=-1)
        for j in range(similar["orig"].shape[1]):
            table.append({
                "setting": pictures.setting, "kind": target.kind, "target": target.name,
                "prompt": target.prompt, "seed": j % each, "restart": j // each, **budget,
                "sscd_orig": float(similar["orig"][i, j]),
                "sscd_gen": float(gen[j]),
                "sscd_frame": float("nan" if target.changing is None else similar["frame"][i, j]),
                "a_clip": float(clip[j]), "file": str(pictures.result.folder / file_name(i, j)),
            })  # fmt: skip
    return pd.DataFrame(table)
