"""A toy layer that holds an image in one neuron, and one that holds it in all: are they told apart?

Triggers are random directions, far from each other, as the paper finds them. In the local layer each
drives one and the same neuron of its image, in the distributed layer neurons of its own.
"""

import numpy as np
import pytest
import torch
from torch import Tensor

from dori.pruning import masks
from dori.studies.locality.analysis import distances, overlap, pairs
from dori.studies.locality.analysis.cuts import left, ordered
from dori.studies.locality.analysis.members import Member
from tests.studies.locality.test_pairs import member

IMAGES, EACH, NEURONS, TAKEN = 5, 6, 60, 4
MEMBERS: list[Member] = [member(f"{i}/{j}", f"image {i}") for i in range(IMAGES) for j in range(EACH)]
GROUPS = [list(range(i * EACH, (i + 1) * EACH)) for i in range(IMAGES)]


def responses(local: bool) -> Tensor:
    """What every trigger activates (triggers, neurons)."""
    stream = torch.Generator().manual_seed(7)
    found = 0.1 * torch.rand(len(MEMBERS), NEURONS, generator=stream)
    for trigger in range(len(MEMBERS)):
        image = trigger // EACH
        driven = torch.randperm(NEURONS, generator=stream)[:TAKEN]
        if local:
            driven = torch.arange(image * TAKEN, (image + 1) * TAKEN)
        found[trigger, driven] += 1
    return found


def selected(answers: Tensor) -> list[masks.Mask]:
    """What a pruning method sees: the neurons that answer most."""
    chosen = torch.zeros_like(answers, dtype=torch.bool)
    return [{"layer": row} for row in chosen.scatter_(1, answers.topk(TAKEN).indices, True)]


def curve(answers: Tensor, k: int, whose: int) -> float:
    """Left after pruning by k triggers of the image, or of the one ``whose`` places on."""
    some, drawn, nothing = selected(answers), [], torch.zeros(NEURONS, dtype=torch.bool)
    orders = [ordered(EACH, 0, str(i)) for i in range(IMAGES)]
    for image in range(IMAGES):
        from_ = GROUPS[(image + whose) % IMAGES]
        cut = masks.union(*(some[from_[place]] for place in orders[image][:k])).get("layer", nothing)
        kept = answers[GROUPS[image]].masked_fill(cut, 0).amax(1)
        drawn.append((kept > 0.5).numpy())
    value = left(drawn, orders, k)[0].over_images()["value"]
    assert value is not None
    return value


@pytest.mark.parametrize("local", [True, False])
def test_the_analyses_tell_a_local_memory_from_a_distributed_one(local: bool) -> None:
    answers = responses(local)
    apart = pairs.compared(distances.pairwise(answers[:, None], distances.l2), MEMBERS)
    shared, counts = overlap.shared(overlap.packed(selected(answers)))
    same = pairs.of_pairs(overlap.iou(shared, counts, np.nan), MEMBERS)
    chance = overlap.expected_iou([TAKEN], [TAKEN], [NEURONS])
    inside, across = (same[group] for group in (pairs.ONE, pairs.DIFFERENT))
    assert apart["high"] is not None and apart["low"] is not None
    assert inside["low"] is not None and across["high"] is not None
    assert inside["value"] is not None and across["value"] is not None
    assert curve(answers, 0, 0) == 1
    if local:
        assert apart["high"] < 0.5  # activations of an image's triggers are alike
        assert inside["low"] > max(across["high"], chance) and inside["value"] == 1
        assert curve(answers, 1, 0) == 0  # one trigger's neurons are the image
        assert curve(answers, 1, 1) == 1  # and no other's are
    else:
        assert apart["low"] < 1 < apart["high"] or 0.9 < apart["low"] < 1.1
        assert inside["value"] == pytest.approx(chance, abs=0.05)
        assert curve(answers, 1, 0) > 0.9 and curve(answers, 1, 1) > 0.9
        assert curve(answers, 4, 0) >= 0.9
