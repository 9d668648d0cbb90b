"""Is memorization local? The three analyses of Finding DoRI (arXiv 2507.16880), and one that it lacks.

Triggers of one image are compared in the embedding space, by what they activate and by which weights
pruning methods select for them; then the model is pruned by some of them, and the others are tried.
"""

from collections.abc import Callable, Sequence

from dori.attacks.starts import Attempt, Source
from dori.core.errors import InputError, check_positive, check_share
from dori.core.neutral import neutral
from dori.data import MEMORIZED, Data
from dori.metrics.intervals import FEWEST
from dori.pruning import Method, Saliency
from dori.steps.checks import check_no_defense, check_no_quality, check_one_budget
from dori.steps.outcome import Outcome
from dori.steps.run import Run
from dori.studies.locality.analysis.distances import check_perplexity
from dori.studies.locality.criteria import criteria_rows
from dori.studies.locality.cuts import cut_rows
from dori.studies.locality.finding import findings
from dori.studies.locality.inside import activation_rows, selection_of, weight_rows
from dori.studies.locality.paths import path_rows
from dori.studies.locality.space import distance_rows, map_row
from dori.studies.locality.triggers import beside, search, summary

__all__ = ["findings", "locality"]
Start = Callable[[Data, list[Attempt], int], list[Source]]


@neutral("block")
def locality(
    run: Run, starts: dict[str, Start], methods: dict[str, Method], saliency: Saliency, share: float = 0.1,
    others: int = 16, cuts: Sequence[int] = (1, 2, 4), paths: int = 3,
    between: Sequence[float] = (0, 0.25, 0.5, 0.75, 1), perplexity: float = 10, block: int = 64,
) -> Outcome:  # fmt: skip
    """Triggers from several starts -> where they lie, what they activate, what they select -> pruned by k.

    Only embeddings that replicate their image count as triggers. The attack is made on the controls
    and, where there is one, on the twin too. An image with fewer than two triggers is left out.

    Args:
        starts: of the attack, by name; ``attack.restarts`` attempts per image from each.
        methods: pruning methods, by name, that select for each prompt on its own.
        saliency: the criterion, beside the methods' own and magnitude.
        share: of each layer's neurons that every criterion takes.
        others: ordinary prompts, and random embeddings, to compare with.
        cuts: how many triggers of an image are pruned by.
        paths: pairs of triggers of each image between which is interpolated, at ``between``.
        perplexity: of t-SNE; lowered to what the points allow.
        block: embeddings whose activations are held at once, twice.
    """
    check(run, starts, methods, share, others, cuts, paths, between, perplexity, block)
    found = search(run, starts)
    kept = found.comparable
    rows = [*found.rows, summary(run, found, kept)]
    if not kept:
        return Outcome(rows, found.images, found.attacks)
    members = [*kept, *beside(run, kept, others)]
    rows += [*distance_rows(run, members), map_row(run, kept, perplexity)]
    rows += path_rows(run, found, kept, paths, between)
    rows += activation_rows(run, members, block)
    for name, method in methods.items():
        selection = selection_of(run, name, method, members)
        rows += weight_rows(run, name, selection, members)
        rows += cut_rows(run, name, selection, members, found, cuts)
    rows += criteria_rows(run, methods, saliency, kept, share)
    return Outcome(rows, found.images, found.attacks)


def check(
    run: Run, starts: dict[str, Start], methods: dict[str, Method], share: float, others: int,
    cuts: Sequence[int], paths: int, between: Sequence[float], perplexity: float, block: int,
) -> None:  # fmt: skip
    """Raises InputError: what no search could make good."""
    check_no_defense(run, "locality")
    check_no_quality(run, "locality")
    memorized = run.data.of(*MEMORIZED)
    if run.attack is None or not starts:
        raise InputError("study=locality compares triggers, but there is no attack: use attack=dori")
    if len(memorized) < FEWEST:
        raise InputError(
            f"study=locality needs {FEWEST} memorized targets, as its intervals are over images, but the data"
            f" has {len(memorized)}: raise data.targets"
        )
    check_one_budget(run)
    check_share("study.share", share)
    for key, value in {"others": others, "block": block, "paths": paths}.items():
        check_positive(f"study.{key}", value)
    for k in cuts:
        if not isinstance(k, int) or k < 1:
            raise InputError(f"study.cuts must be whole numbers above zero, but has {k}")
    for at in between:
        if not 0 <= at <= 1:
            raise InputError(f"study.between must lie from 0 to 1, but has {at}")
    attempts = len(memorized) * run.attack.made.restarts * len(starts)
    if attempts < 2:
        raise InputError("study=locality compares triggers of one image: raise attack.restarts")
    check_perplexity(perplexity, 2 * attempts)
    for name, method in methods.items():
        if not method.per_prompt:
            raise InputError(
                f"study.methods.{name} selects for all prompts at once: set its apply=per_prompt"
            )
    for name in ("values", "feed_forward"):
        run.diffusion.layers(name, loaded=False)
