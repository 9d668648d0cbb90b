"""What a training set says by itself, and what is no held-out picture."""

from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F

from dori.data import Target
from dori.studies.audit.alone import alone, apart
from dori.studies.audit.drawn import Drawn, attracted, nearest


def targets(prompts: list[str]) -> list[Target]:
    return [Target(f"t{i}", prompt, "training", Path()) for i, prompt in enumerate(prompts)]


def unit(*rows: list[float]) -> torch.Tensor:
    return F.normalize(torch.tensor(rows, dtype=torch.float32), dim=1)


def test_near_duplicates_are_grouped_through_what_lies_between_them() -> None:
    line = unit([1, 0, 0], [1, 0.6, 0], [1, 1.6, 0], [0, 0, 1])  # 0-1 and 1-2 are alike, 0-2 are not
    found = alone(targets(["a", "a", "b", "c"]), line, 0.8)
    assert found.duplicates == [["t0", "t1", "t2"]]
    assert found.unique == {"t2", "t3"}


def test_a_control_that_the_training_set_has_is_left_out() -> None:
    pictures, controls = unit([1, 0], [0, 1]), unit([1, 0.1], [1, 1])
    assert apart(controls, pictures, 0.8).tolist() == [False, True]
    assert apart(controls[:0], pictures, 0.8).tolist() == []


def outputs(*rows: tuple[str, bool], descriptors: torch.Tensor) -> Drawn:
    table = pd.DataFrame([(o, o, "", i, "", own) for i, (o, own) in enumerate(rows)])
    table.columns = ["name", "owner", "prompt", "seed", "file", "own"]
    return Drawn(table, descriptors)


def test_an_own_output_counts_for_its_owner_alone_and_any_other_for_all_but_its_owner() -> None:
    pictures = unit([1, 0], [0, 1])
    drawn = outputs(("t0", True), ("t0", False), ("", False), descriptors=unit([0, 1], [1, 0.2], [1, 1]))
    best = nearest(pictures, ["t0", "t1"], drawn)
    assert best.place.tolist() == [2, 2]  # t1 does not get t0's own output, t0 not what counts for others
    drawn = outputs(("t0", True), ("t0", False), descriptors=unit([0, 1], [1, 0.2]))
    best = nearest(pictures, ["t0", "t1"], drawn)
    assert best.place.tolist() == [0, 1]


def test_a_picture_that_was_compared_with_nothing_has_no_output() -> None:
    best = nearest(unit([1, 0]), ["t0"], outputs(("t0", False), descriptors=unit([1, 0])))
    assert (best.similarity.tolist(), best.place.tolist()) == ([-1.0], [-1])


def test_every_output_has_its_nearest_picture() -> None:
    drawn = outputs(("", False), ("", False), descriptors=unit([1, 0.1], [0.1, 1]))
    assert attracted(unit([1, 0], [0, 1]), drawn).place.tolist() == [0, 1]
