"""Intervals of means, medians, shares over images, pairs, overlaps, distances, work: coverage, simulated."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray

from dori.calibrate.exact import bounds, holds
from dori.metrics.auc import auc
from dori.metrics.differences import difference_over_images
from dori.metrics.fid import fid, fid_ratio
from dori.metrics.intervals import Estimate, mean_estimate, mean_of_shares
from dori.metrics.kid import kid, kid_difference
from dori.metrics.overlap import overlap, overlap_difference
from dori.metrics.quantiles import median_estimate, percentile_estimate
from dori.metrics.work import median_work
from dori.studies.locality.analysis import pairs

Random = np.random.Generator
Array = NDArray[np.float64]
Draw = Callable[[Random, int], Array]
Made = Callable[[Random, int], Estimate]  # from n of something
Line = tuple[str, str, int, float]  # interval, world, n, coverage
EACH = 6  # triggers of an image
LOOKS = np.arange(0, 401, 80)  # gradient evaluations at which copies are looked for


def coverage(make: Made, truth: float, repeats: int, n: int) -> float:
    """How often the interval of what is made holds the truth; a bound that is None is no bound."""
    rng = np.random.default_rng(n)
    return float(holds(bounds([make(rng, n) for _ in range(max(1, repeats))]), truth).mean())


def one_cluster(rng: Random, n: int) -> Array:
    """SSCD of pictures that are no copies."""
    return rng.beta(9, 21, n)


def two_clusters(rng: Random, n: int) -> Array:
    """Half are copies, about 0.85, the others about 0.3."""
    return np.where(rng.random(n) < 0.5, rng.beta(17, 3, n), rng.beta(9, 21, n))


def single(repeats: int) -> Iterator[Line]:
    """A mean, a median and a 95th percentile over prompts."""
    worlds: dict[str, Draw] = {"one cluster": one_cluster, "two clusters": two_clusters}
    makers: dict[str, Callable[[Array], Estimate]] = {
        "mean": mean_estimate, "median": median_estimate,
        "95th percentile": lambda x: percentile_estimate(x, 0.95),
    }  # fmt: skip
    truths: dict[str, Callable[[Array], float]] = {
        "mean": np.mean, "median": np.median, "95th percentile": lambda x: float(np.percentile(x, 95)),
    }  # fmt: skip
    for world, draw in worlds.items():
        large = draw(np.random.default_rng(9), 1_000_000)
        for name, make in makers.items():
            less = repeats // 4 if name == "median" else repeats  # a bootstrap takes its time
            for n in (72, 200) if name == "95th percentile" else (5, 8, 12, 20, 32, 48):
                made = _of(make, draw)
                yield name, world, n, coverage(made, float(truths[name](large)), less, n)


def _of(make: Callable[[Array], Estimate], draw: Draw) -> Made:
    return lambda rng, n: make(draw(rng, n))


def hits(a: float, b: float) -> Draw:
    """Of each image the share of its triggers that hit; images differ (Beta)."""
    return lambda rng, n: rng.binomial(EACH, rng.beta(a, b, n)) / EACH


def shares(repeats: int) -> Iterator[Line]:
    """Shares over images, and their differences on the same images."""
    worlds = {
        "0.02": (0.2, 9.8),
        "0.1": (0.5, 4.5),
        "0.4, unlike": (0.4, 0.6),
        "0.5": (1, 1),
        "0.95": (38, 2),
    }
    for world, (a, b) in worlds.items():
        for n in (5, 8, 12, 20, 48):
            made = _of(lambda x: mean_of_shares(x, EACH), hits(a, b))
            yield "share over images", world, n, coverage(made, a / (a + b), repeats, n)
    for one, other in (("0.95", "0.02"), ("0.4, unlike", "0.02"), ("0.5", "0.5"), ("0.02", "0.02")):
        (a, b), (c, d) = worlds[one], worlds[other]
        for n in (5, 8, 12, 20, 48):
            made = _difference_of(hits(a, b), hits(c, d))
            truth = a / (a + b) - c / (c + d)
            yield (
                "difference of shares over images",
                f"{one} less {other}",
                n,
                coverage(made, truth, repeats, n),
            )


def _difference_of(one: Draw, other: Draw) -> Made:
    return lambda rng, n: difference_over_images(one(rng, n), other(rng, n), EACH, EACH)


def points(apart: float, width: int = 24) -> Draw:
    """Mean distances (n, n) of points around each image's centre, within an image without a point itself."""

    def draw(rng: Random, n: int) -> Array:
        spread = np.exp(0.3 * rng.standard_normal(n))[:, None, None]
        centres = apart * rng.standard_normal((n, 1, width))
        points = (centres + spread * rng.standard_normal((n, EACH, width))).reshape(-1, width)
        squares = (points**2).sum(1)
        d = np.sqrt(np.maximum(squares[:, None] + squares - 2 * points @ points.T, 0))
        cells = d.reshape(n, EACH, n, EACH).mean((1, 3))
        np.fill_diagonal(cells, np.diag(cells) * EACH / (EACH - 1))
        return cells

    return draw


def over_images(repeats: int) -> Iterator[Line]:
    """Means over pairs, and the ratio of pairs of one image to pairs of different ones."""
    for apart in (0.0, 0.33, 1.5):
        large = [points(apart)(np.random.default_rng(seed), 300) for seed in range(6)]
        inside, across = (float(np.mean([mean(t) for t in large])) for mean in (pairs.within, pairs.between))
        makers: dict[str, tuple[Callable[[Array], Estimate], float]] = {
            "pairs within images": (lambda t: pairs.over_images(pairs.within, t), inside),
            "pairs between images": (lambda t: pairs.over_images(pairs.between, t), across),
            "ratio of pairs": (pairs.ratio, inside / across),
        }
        for name, (make, truth) in makers.items():
            for n in (5, 8, 20):
                made = _of(make, points(apart))
                yield name, f"ratio {inside / across:.2f}", n, coverage(made, truth, repeats, n)


def overlaps(repeats: int, weights: int = 1500, taken: int = 150, prompts: int = 6) -> Iterator[Line]:
    """IoU of masks of disjoint groups of prompts, and of two kinds of prompts that are alike."""
    common = 0.5 * np.random.default_rng(0).standard_normal(weights)

    def table(rng: Random, groups: int) -> Array:
        chosen = np.zeros((groups, weights))
        for row in chosen:
            score = common + rng.standard_normal((prompts, weights)).mean(0)
            row[np.argpartition(-score, taken)[:taken]] = 1
        shared = chosen @ chosen.T
        found: Array = shared / (2 * taken - shared)
        return found

    large = table(np.random.default_rng(1), 60)
    truth = float(large[~np.eye(60, dtype=bool)].mean())
    for n in (5, 8):
        made = _of(lambda x: overlap(x, True), table)
        yield "overlap of masks", "groups of 6 prompts", n, coverage(made, truth, repeats, n)
        alike = coverage(lambda rng, n: overlap_difference(table(rng, 2 * n), n), 0.0, repeats // 4, n)
        yield "difference of overlaps", "alike", n, alike


def features(rng: Random, n: int, d: int = 8) -> list[torch.Tensor]:
    """Gaussian features of real pictures and of two settings, of the same captions."""
    caption, real, drawn, noise = (torch.from_numpy(rng.standard_normal((n, d))) for _ in range(4))
    first = 0.3 + 0.8 * caption + 0.6 * drawn
    return [0.8 * caption + 0.6 * real, first, first + 0.2 + 0.05 * noise]


def distances(repeats: int) -> Iterator[Line]:
    """FID and KID as dori measures them, against those of a large sample."""

    def made(metric: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], Estimate]) -> Made:
        return lambda rng, n: metric(*features(rng, n))

    metrics: dict[str, Callable[[torch.Tensor, torch.Tensor, torch.Tensor], Estimate]] = {
        "KID": lambda real, a, b: kid(a, real, True),
        "KID_difference": lambda real, a, b: kid_difference(b, a, real, True),
        "FID": lambda real, a, b: fid(a, real, True),
        "FID_ratio": lambda real, a, b: fid_ratio(b, a, real),
    }
    large = features(np.random.default_rng(9), 12_000)
    for name, metric in metrics.items():
        truth = metric(*large)["value"] or 0.0
        for n in (128, 1024):
            less = repeats // (4 if n < 1000 else 16)
            yield name, "same captions", n, coverage(made(metric), truth, less, n)


def others(repeats: int) -> Iterator[Line]:
    """AUC of a score, and median work under censoring."""
    for world, spread in {"equal spread": 1.0, "memorized vary thrice": 3.0}.items():
        at = float(np.sqrt(1 + spread**2) * 1.2815515655446004)  # an area of 0.9
        made = _area(at, spread)
        for n in (10, 32):
            yield "Score_AUC", world, n, coverage(made, 0.9, repeats, n)
    survivors = 0.95 * 0.8 ** np.arange(len(LOOKS))

    def spent(rng: Random, n: int) -> Estimate:
        place = (rng.random(n)[:, None] < survivors[None]).sum(1)
        copied = place < len(LOOKS)
        return median_work(np.where(copied, LOOKS[np.minimum(place, len(LOOKS) - 1)], LOOKS[-1]), copied)

    median = float(LOOKS[np.flatnonzero(survivors <= 0.5)[0]])
    for n in (8, 16, 48):
        yield "median work", "half at 240, censored at 400", n, coverage(spent, median, repeats, n)


def _area(at: float, spread: float) -> Made:
    return lambda rng, n: auc(rng.normal(at, spread, n), rng.normal(0, 1, 256))
