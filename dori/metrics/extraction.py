"""Training data extraction: near-duplicates among many samples of a prompt, found without the image.

Carlini et al., "Extracting Training Data from Diffusion Models", USENIX Security 2023: samples are the
nodes of a graph, near-duplicates its edges, and a clique of 10 among 500 samples gives a memorized
image away. There, near means a small patch-wise l2 distance; here, SSCD above the threshold.
"""

import logging
from itertools import islice
from typing import Any

import networkx
import torch
from torch import Tensor
from torchmetrics import Metric

from dori.metrics.intervals import Estimate, share
from dori.metrics.memorization_rate import THRESHOLD
from dori.metrics.sscd import pairwise

CLIQUE = 10  # of the paper's 500 samples
SEARCHED = 100_000  # maximal cliques looked at: a graph can have exponentially many

log = logging.getLogger(__name__)


def near_duplicates(generated: Tensor, threshold: float = THRESHOLD) -> Tensor:
    """The graph of a prompt's samples: j and k are joined where cos(generated_j, generated_k) > threshold.

    Args:
        generated: descriptors (samples, d).

    Returns:
        boolean (samples, samples), symmetric; no sample is joined to itself.

    Raises:
        ValueError: if the shape is another, or a similarity is not finite.

    >>> near_duplicates(torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])).int()
    tensor([[0, 1, 0],
            [1, 0, 0],
            [0, 0, 0]], dtype=torch.int32)
    """
    if generated.ndim != 2:
        raise ValueError(
            f"descriptors of shape {tuple(generated.shape)}: give those of one prompt (samples, d)"
        )
    similarity = pairwise(generated)
    if not similarity.isfinite().all():
        raise ValueError("similarities are not finite: list the target as failed, leave it out")
    # a sum's order may differ between (j, k) and (k, j)
    return ((similarity + similarity.mT) / 2 > threshold).fill_diagonal_(False)


def largest_clique(near: Tensor, enough: int | None = None) -> list[int]:
    """Members of the largest set of samples that are all near-duplicates of each other, rising.

    The problem is NP-hard: of a graph with more than ``SEARCHED`` maximal cliques it may not be the
    largest, and a warning says so.

    Args:
        near: boolean (samples, samples), symmetric.
        enough: of so many members, the first found will do; where there is none, the list is empty.

    >>> near = torch.tensor([[0, 1, 1, 0], [1, 0, 1, 0], [1, 1, 0, 1], [0, 0, 1, 0]]).bool()
    >>> largest_clique(near)
    [0, 1, 2]
    >>> largest_clique(near, enough=4)
    []
    """
    graph = networkx.from_numpy_array(near.cpu().numpy())
    if enough is not None:  # a clique of n lies in the part where each has n - 1 neighbours
        graph = networkx.k_core(graph, enough - 1)
    largest: list[int] = []
    searched = 0
    for clique in islice(networkx.find_cliques(graph), SEARCHED):
        searched += 1
        largest = max(largest, clique, key=len)
        if enough is not None and len(largest) >= enough:
            return sorted(largest)
    if searched == SEARCHED:
        log.warning(
            "the search for a clique among %d samples ended after %d: there may be one of more than %d",
            len(near), SEARCHED, len(largest),
        )  # fmt: skip
    return sorted(largest) if enough is None else []


def extraction(
    generated: Tensor, similarity: Tensor, clique: int = CLIQUE, threshold: float = THRESHOLD
) -> tuple[Tensor, Tensor]:
    """Which prompts give themselves away, and of which the training image is extracted.

    With G_i the graph of near-duplicates among the samples of prompt i, and ω the size of the largest
    clique: found_i = [ω(G_i) ≥ clique], extracted_i = [ω(G_i restricted to {j : SSCD_Orig_ij >
    threshold}) ≥ clique], that is, some clique's members all match the training image. The clique is
    found without that image; only whether it matches needs it.

    Args:
        generated: descriptors (targets, samples, d).
        similarity: SSCD_Orig (targets, samples) of the same samples.
        clique: members that it takes, at least 2.

    Returns:
        found, extracted: boolean (targets,); what is extracted is found.

    Raises:
        ValueError: if the shapes differ, ``clique`` is none of 2 .. samples, or a similarity is not finite.

    >>> generated = torch.tensor([[[1.0, 0.0], [1.0, 0.1], [0.0, 1.0]]])
    >>> extraction(generated, torch.tensor([[0.9, 0.8, 0.0]]), clique=2)
    (tensor([True]), tensor([True]))
    >>> extraction(generated, torch.tensor([[0.1, 0.0, 0.9]]), clique=2)  # near-duplicates of something else
    (tensor([True]), tensor([False]))
    """
    if generated.ndim != 3 or similarity.shape != generated.shape[:2]:
        raise ValueError(
            f"descriptors of shape {tuple(generated.shape)} with similarities of shape "
            f"{tuple(similarity.shape)}: give (targets, samples, d) and (targets, samples)"
        )
    if not 2 <= clique <= generated.shape[1]:
        raise ValueError(f"a clique of {clique} among {generated.shape[1]} samples: give 2 to all of them")
    if not similarity.isfinite().all():
        raise ValueError("similarities to training images are not finite: leave those targets out, as failed")
    found = torch.zeros(len(generated), dtype=torch.bool)
    extracted = torch.zeros(len(generated), dtype=torch.bool)
    for i, samples in enumerate(generated):
        near, match = near_duplicates(samples, threshold), similarity[i] > threshold
        extracted[i] = bool(largest_clique(near[match][:, match], clique))
        found[i] = bool(extracted[i]) or bool(largest_clique(near, clique))
    return found, extracted


class Extraction(Metric):
    """``extraction`` over batches and processes: three counts, given as three shares with intervals.

    Cliques: of all prompts, those with a clique, the signal that an attacker sees. Extracted: of all
    prompts, those whose clique is the training image. Clique_Precision: of those with a clique, the
    extracted ones.

    >>> metric = Extraction(clique=2)
    >>> metric.update(torch.ones(2, 3, 4), torch.tensor([[0.9, 0.9, 0.9], [0.1, 0.1, 0.1]]))
    >>> {name: (share["value"], share["n"]) for name, share in metric.compute().items()}
    {'Extracted': (0.5, 2), 'Cliques': (1.0, 2), 'Clique_Precision': (0.5, 2)}
    """

    full_state_update = False
    higher_is_better = None
    total: Tensor
    found: Tensor
    extracted: Tensor

    def __init__(
        self, clique: int = CLIQUE, threshold: float = THRESHOLD, confidence: float = 0.95, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.clique, self.threshold, self.confidence = clique, threshold, confidence
        for count in ("total", "found", "extracted"):
            self.add_state(count, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, generated: Tensor, similarity: Tensor) -> None:
        found, extracted = extraction(generated, similarity, self.clique, self.threshold)
        self.total += len(found)
        self.found += found.sum()
        self.extracted += extracted.sum()

    def compute(self) -> dict[str, Estimate]:
        total, found, extracted = int(self.total), int(self.found), int(self.extracted)
        return {
            "Extracted": share(extracted, total, self.confidence),
            "Cliques": share(found, total, self.confidence),
            "Clique_Precision": share(extracted, found, self.confidence),
        }
