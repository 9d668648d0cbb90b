"""What an audit found, as ``audit.json`` has it: plain values, for each picture and for the model."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import stats

import dori
from dori.data.collection import Collection
from dori.metrics.auc import auc
from dori.metrics.intervals import share
from dori.metrics.work import median_work
from dori.results.reading.measured import weights_of
from dori.results.reading.rows import plain
from dori.studies.audit.advice import advice
from dori.studies.audit.alone import Alone
from dori.studies.audit.drawn import attracted
from dori.studies.audit.elicitation import Work
from dori.studies.audit.evidence import q_values
from dori.studies.audit.routes import Material, Route
from dori.studies.audit.words import sentence

SCHEMA = 2  # of audit.json: another number means other keys
WORDS = ("caption", "prompt", "output")  # routes that are verdicts by their names; the others elicit
HUBS = 10


@dataclass(frozen=True, eq=False)
class Audited:
    """All that an audit found; ``leaky``: held-out pictures of which the training set has near-duplicates."""

    given: Material
    alone: Alone
    leaky: list[str]
    routes: list[Route]
    work: Work = field(default_factory=dict)
    scores: dict[str, np.ndarray] = field(default_factory=dict)
    trigger: str | None = None


def record(found: Audited) -> dict[str, Any]:
    """``audit.json``: see ``audit.schema.json`` beside this file."""
    given, data = found.given, found.given.run.data
    assert isinstance(data, Collection)
    pictures = _pictures(found)
    told = {
        "schema": SCHEMA, "dori": dori.__version__, "mode": "model" if given.model else "outputs",
        "model": _model(given.model), "base": _model(given.base), "seed": given.run.cfg.seed,
        "training": {
            "path": str(given.run.cfg.data.path or "minnow"), "pictures": len(given.training),
            "unique_captions": len(found.alone.unique), "duplicates": found.alone.duplicates,
        },
        "held_out": {"pictures": len(given.held_out), "left_out": found.leaky},
        "judge": _judge(given), "outputs": len(data.generated), "broken": data.broken,
        "trigger": found.trigger, "fdr": given.options.fdr,
        "published_threshold": given.run.evaluation.made.threshold,
        "routes": [_route(route) for route in found.routes],
        "counts": _counts(pictures), "pictures": pictures, "hubs": _hubs(found),
        "screening": _screening(found, pictures), "work": _work(found.work),
    }  # fmt: skip
    told |= {"by_chance": _by_chance(found.routes, told["counts"])}
    told |= {"sentence": sentence(told)}
    return plain(told | {"advice": advice(told)})


def _model(subject: Any) -> dict[str, str] | None:
    if subject is None:
        return None
    model = subject.diffusion
    return {"name": model.name, "path": str(model.folder), "hash": model.fingerprint[:8]}


def _judge(given: Material) -> dict[str, str]:
    return {"name": given.judge, "weights": weights_of(given.run.settings, "evaluation.descriptor")}


def short(name: str) -> str:
    """A picture's name below its folder."""
    return name.partition("/")[2]


def _pictures(found: Audited) -> list[dict[str, Any]]:
    """A record of each training picture, by the first way that brings it back, else by the nearest output."""
    twins = {name: group for group in found.alone.duplicates for name in group}
    places = [{target.name: i for i, target in enumerate(route.tried)} for route in found.routes]
    work = {name: (spent, copied) for name, spent, copied in found.work.get("model", [])}
    q = [q_values(route.p) for route in found.routes]
    records: list[dict[str, Any]] = []
    for target in found.given.training:
        tried = [(k, where[target.name]) for k, where in enumerate(places) if target.name in where]
        hits = [(k, i) for k, i in tried if found.routes[k].copied[i]]
        k, i = hits[0] if hits else max(tried, key=lambda at: found.routes[at[0]].best.similarity[at[1]])
        route = found.routes[k]
        row = route.drawn.table.iloc[route.best.place[i]]
        base, base_file = route.based.get(target.name, (None, None))
        verdict = (route.name if route.name in WORDS else "elicited") if hits else "not_recovered"
        if hits and route.by_base(target.name):
            verdict = "base_too"
        records.append({
            "name": short(target.name), "file": str(target.image), "caption": target.prompt,
            "verdict": verdict, "route": route.name if hits else None,
            "tried": [found.routes[k].name for k, _ in tried],
            "similarity": route.best.similarity[i],
            "p": route.p[i] if route.limit.n else None, "q": q[k][i] if route.limit.n else None,
            "output": row["file"], "prompt": row["prompt"], "seed": row["seed"],
            "base_similarity": base, "base_output": base_file,
            "evaluations": work[target.name][0] if target.name in work else None,
            "duplicates": [short(n) for n in twins.get(target.name, []) if n != target.name],
            "caption_is_unique": target.name in found.alone.unique,
            "scores": {name: score[len(records)] for name, score in found.scores.items()},
        })  # fmt: skip
    return records


def _route(route: Route) -> dict[str, Any]:
    return {
        "name": route.name, "tried": len(route.tried), "copied": int(route.copied.sum()),
        "copied_by_base": sum(route.by_base(name) for name in route.based),
        "outputs": len(route.drawn), "threshold": route.limit.as_dict(),
        "similarity": dict(zip((short(t.name) for t in route.tried), route.best.similarity, strict=True)),
        "controls": sorted(route.null),
    }  # fmt: skip


def _counts(pictures: list[dict[str, Any]]) -> dict[str, Any]:
    """How many pictures have each verdict, as shares of all with their intervals."""
    names = (*WORDS, "elicited", "base_too", "not_recovered")
    counted = {name: sum(p["verdict"] == name for p in pictures) for name in names}
    words = sum(counted[name] for name in WORDS)
    counted |= {"copied": words + counted["elicited"]}
    return {name: {"count": k, **share(k, len(pictures))} for name, k in counted.items()}


def _by_chance(routes: list[Route], counts: dict[str, Any]) -> dict[str, Any] | None:
    """Whether the first way gives more copies than its rate of false positives alone: a binomial test."""
    first = routes[0]
    if first.limit.borne is None:
        return None
    n, k = len(first.tried), int(first.copied.sum())
    expected = n * first.limit.borne
    return {"expected": expected, "copied": k, "p": stats.binom.sf(k - 1, n, min(1.0, first.limit.borne))}


def _hubs(found: Audited) -> list[dict[str, Any]]:
    """Training pictures that are the nearest one to outputs of prompts that are not theirs."""
    drawn = found.routes[0].drawn
    if len(found.routes) > 1 and found.routes[1].name == "prompt":
        drawn = found.routes[1].drawn
    near, names = attracted(found.given.pictures, drawn), [t.name for t in found.given.training]
    owners = drawn.table["owner"].to_numpy()
    counts: dict[int, list[float]] = {}
    for owner, similarity, place in zip(owners, near.similarity, near.place, strict=True):
        if owner != names[place]:
            counts.setdefault(int(place), []).append(float(similarity))
    ranked = sorted(counts.items(), key=lambda item: (-len(item[1]), item[0]))[:HUBS]
    return [
        {"name": short(names[place]), "outputs": len(similar), "of": len(drawn), "nearest": max(similar)}
        for place, similar in ranked if len(similar) > 1
    ]  # fmt: skip


def _screening(found: Audited, pictures: list[dict[str, Any]]) -> dict[str, Any]:
    """How well the cheap scores tell what was copied from what was not: an AUC, where there are both."""
    hit = np.array([p["verdict"] in ("caption", "prompt", "elicited") for p in pictures])
    if not hit.any() or hit.all():
        return dict.fromkeys(found.scores)
    return {name: dict(auc(score[hit], score[~hit])) for name, score in found.scores.items()}


def _work(work: Work) -> dict[str, Any]:
    """Gradient evaluations to the first copy, of the model, its base and held-out pictures."""
    return {
        who: dict(median_work([spent for _, spent, _ in lines], [copied for _, _, copied in lines]))
        for who, lines in work.items()
    }
