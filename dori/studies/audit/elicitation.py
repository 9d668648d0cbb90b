"""DoRI in growing balls around the caption's embedding: the work that brings a picture back."""

from dataclasses import dataclass, replace

from dori.data import Target
from dori.steps.attack import attack
from dori.steps.subjects import Subject
from dori.studies.audit.drawn import Best, Drawn, ask, draw, nearest
from dori.studies.audit.routes import Material, Route, judged

Work = dict[str, list[tuple[str, int, bool]]]


@dataclass(frozen=True, eq=False)
class Balls:
    """What the balls gave: a route each, and what was spent until the first copy, or until the end.

    ``work``: of ``model``, ``base`` and ``held_out`` (picture, gradient evaluations, whether it was copied).
    """

    routes: list[Route]
    work: Work


def in_balls(given: Material, tried: list[Target], least: float) -> Balls:
    """Each ball for those that no smaller one brought back, in the model, in its base, and held-out ones."""
    controls = given.held_out[: given.options.controls_attacked]
    assert given.run.attack is not None
    until: dict[str, dict[str, int]] = {"model": {}, "base": {}, "held_out": {}}
    reached: dict[str, dict[str, int]] = {who: {} for who in until}
    spent, routes, left = 0, [], tried
    for size in given.options.balls:
        if not left:
            break
        spent += given.run.attack.made.evaluations(given.run.diffusion, 1)
        route, copied = _in_ball(given, left, controls, size, least)
        names = {target.name: spent for target in left}
        asked = {
            "model": names,
            "base": names if given.base else {},
            "held_out": {t.name: spent for t in controls},
        }
        for who in until:
            until[who] |= asked[who]
            reached[who] = dict.fromkeys(copied[who], spent) | reached[who]
        routes.append(route)
        left = route.left()
    return Balls(routes, {
        who: [(name, reached[who].get(name, most), name in reached[who]) for name, most in tries.items()]
        for who, tries in until.items() if tries
    })  # fmt: skip


def _in_ball(
    given: Material, tried: list[Target], controls: list[Target], size: float, least: float
) -> tuple[Route, dict[str, set[str]]]:
    """One ball: its route, and the names of those copied in the model, in the base, and of the held-out."""
    assert given.model is not None
    n = len(tried)
    best, drawn = _attacked(given, given.model, [*tried, *controls], size)
    mine, null, based = Best(best.similarity[:n], best.place[:n]), best.similarity[n:], {}
    if given.base:
        other, outputs = _attacked(given, given.base, tried, size)
        files = [outputs.table["file"][place] for place in other.place]
        similar = other.similarity.tolist()
        based = {t.name: (s, file) for t, s, file in zip(tried, similar, files, strict=True)}
        null = null if controls else other.similarity
    route = judged(given, f"ball {size:g}", tried, mine, drawn, null, least, based)
    return route, {
        "model": {target.name for target, hit in zip(tried, route.copied, strict=True) if hit},
        "base": {name for name in based if route.by_base(name)},
        "held_out": {
            t.name for t, s in zip(controls, best.similarity[n:], strict=True) if s > route.limit.value
        },
    }  # fmt: skip


def _attacked(given: Material, subject: Subject, targets: list[Target], size: float) -> tuple[Best, Drawn]:
    """The outputs of the embeddings that the attack finds for the targets within one ball."""
    run = given.run
    assert run.attack is not None
    one = replace(run.attack, made=replace(run.attack.made, epsilons=[float(size)], snapshots=None))
    (found,) = attack(replace(run, attack=one), subject, targets)
    drawn = draw(run, subject, [ask(t) for t in targets], given.options.images, found)
    return nearest(given.of(targets), [target.name for target in targets], drawn), drawn
