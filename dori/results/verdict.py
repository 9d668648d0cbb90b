"""What the figures of a run bear out, in plain sentences; also when it is not what a paper says.

Every step asks whether one rate (of memorization, or of extraction) lies above another: beyond the
95 % interval of their difference on the same prompts where there is one, else by Fisher's exact test:

1. does the original model replicate its targets more than its controls?
2. does the mitigation lower that?
3. does the attack raise it again?
4. and above what the same attack reaches where there is nothing to recall: in a twin that never saw
   the pictures, and on control pictures?

Only four times yes is *suppressed, not removed*. That no attack succeeds proves no removal.
"""

from dataclasses import dataclass

from dori.results.comparison import MEMORIZED, Comparison, comparisons
from dori.results.estimate import Estimate, differs, number, share_above, with_interval
from dori.results.notes import notes
from dori.results.rows import Rows

NO_CONTROL_RATE = 0.05  # ours: the rate to beat where a run has no controls
CONTROLS = ("unseen", "seen")
TWIN = "the same targets in the twin"
# what a rate is called, and a target that it counts
RATES = {"MR": ("memorization rate", "memorized"), "Extracted": ("extraction rate", "extractable")}


@dataclass(frozen=True)
class Verdict:
    """``code`` names the case for scripts, ``headline`` for people; ``notes`` say what limits it."""

    code: str
    headline: str
    text: str
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join([f"{self.headline}:", self.text, *self.notes])


def verdicts(rows: Rows) -> list[tuple[Comparison, Verdict]]:
    """A verdict for every mitigation × attack × params, in the order of the rows."""
    return [(comparison, judge(comparison)) for comparison in comparisons(rows)]


def judge(c: Comparison) -> Verdict:
    """The verdict on one comparison."""
    code, headline, text = _case(c)
    return Verdict(code, headline, text, tuple(notes(c)))


def _case(c: Comparison) -> tuple[str, str, str]:
    before = c.figure("original", c.rate)
    if c.kind not in MEMORIZED or before is None:
        text = (
            "No memorized targets with a result on the original model, so nothing can be said about removal."
        )
        return "no_targets", "No verdict", text
    if case := not_memorized(c, before):
        return case
    control = untouched_control(c)
    if c.mitigation == "original":
        headline = f"{RATES[c.rate][1].capitalize()}; no mitigation was applied"
        return "no_mitigation", headline, _no_mitigation(c, before)
    after = c.figure(c.mitigation, c.rate)
    if after is None:
        text = f"{_lead(c, before)} There is no result for {c.mitigation}."
        return "no_result", "No verdict on the mitigation", text
    change = c.figure(c.mitigation, f"{c.rate}_difference")
    fall = f"{_lead(c, before)} After {c.mitigation} it is {cite(after)}{_paired(change)}"
    if not differs(before, after, change):
        return _no_fall(c, after, control, fall)
    return _after_fall(c, after, control, fall)


def untouched_control(c: Comparison) -> Estimate | None:
    """What the original model gives on pictures that nobody memorized: the rate to beat."""
    return c.figure("original", c.rate, "unseen") or c.figure("original", c.rate, "seen")


def _no_fall(c: Comparison, after: Estimate, control: Estimate | None, fall: str) -> tuple[str, str, str]:
    if share_above(after, control or Estimate(NO_CONTROL_RATE)):
        text = f"{fall}: no fall beyond the intervals; the pictures still come without any attack."
        return "mitigation_failed", "The mitigation failed", text
    text = f"{fall}: too few targets to tell whether that is a fall."
    return "mitigation_unclear", "Unclear whether the mitigation works", text


def _after_fall(c: Comparison, after: Estimate, control: Estimate | None, fall: str) -> tuple[str, str, str]:
    still = share_above(after, control or Estimate(NO_CONTROL_RATE))
    partly = ", still above the controls" if still and control else ", still far from none" if still else ""
    recovered = c.figure(c.attacked, c.rate) if c.attack else None
    if recovered is None:
        text = f"{fall}{partly}. Without an attack, hidden and removed look alike."
        return "not_attacked", "Hidden so far; not attacked", text
    change = c.figure(c.attacked, f"{c.rate}_difference")
    attacked = f"{fall}{partly}; under {c.attack}{_budget(c)} it is {cite(recovered)}{_paired(change)}"
    if not differs(recovered, after, change):
        return _no_recovery(after, recovered, attacked)
    moved = c.figure(c.attacked, "Displacement")
    if moved:
        attacked += f", with embeddings moved by {number(moved.value)} of their norm"
    return _recovery(c, recovered, attacked)


def _no_recovery(after: Estimate, recovered: Estimate, attacked: str) -> tuple[str, str, str]:
    if _rises(after, recovered):
        text = f"{attacked}: a rise, but one within the intervals; more targets are needed to tell."
        return "recovery_unclear", "Unclear whether the pictures come back", text
    text = f"{attacked}. That this attack finds nothing does not prove removal."
    return "no_recovery", "No recovery at this budget", text


def _rises(one: Estimate, other: Estimate) -> bool:
    """Whether there is a rise that, at four times the targets, could be one beyond the intervals."""
    return other.value - one.value > other.width / 4


def _recovery(c: Comparison, recovered: Estimate, attacked: str) -> tuple[str, str, str]:
    found = _counterfactuals(c)
    if not found:
        text = f"{attacked}. There is no twin and no attacked control, so this may be injection."
        return "no_counterfactual", "Recovered, or injected: no counterfactual", text
    told = "; ".join(f"{name} {cite(figure)}" for name, figure in found)
    over_twin = c.figure(c.attacked, f"{c.rate}_over_twin")
    paired = {TWIN: over_twin} if over_twin else {}
    level = [name for name, figure in found if not differs(recovered, figure, paired.get(name))]
    if level:
        text = f"{attacked}. The same attack reaches: {told}. {_sentence(level)} cannot be told from it."
        return "injection", "Injection cannot be told from recall", text
    twin = "" if c.figure(c.attacked_twin, c.rate) else " There is no twin to rule injection out fully."
    text = f"{attacked}. The same attack reaches only: {told}.{twin}"
    return "suppressed", "Suppressed, not removed", text


def _counterfactuals(c: Comparison) -> list[tuple[str, Estimate]]:
    """The same attack where there is nothing to recall."""
    figures = [(TWIN, c.figure(c.attacked_twin, c.rate))]
    figures += [(f"{kind} controls", c.figure(c.attacked, c.rate, kind)) for kind in CONTROLS]
    return [(name, figure) for name, figure in figures if figure is not None]


def not_memorized(c: Comparison, before: Estimate) -> tuple[str, str, str] | None:
    """The case in which nothing is there to be removed, or too few targets to tell; None where there is."""
    control = untouched_control(c)
    if share_above(before, control or Estimate(NO_CONTROL_RATE)):
        return None
    name, word = RATES[c.rate]
    beside = f", on its controls {cite(control)}" if control else ""
    text = f"The original model's {name} on {c.kind} targets is {cite(before)}{beside}"
    if _rises(control or Estimate(NO_CONTROL_RATE), before):
        text += ": more, but within the intervals; more targets are needed to tell."
        return "memorization_unclear", f"Unclear whether anything is {word}", text
    text += ": not above chance beyond the intervals, so there is nothing to remove or to recover."
    return "not_memorized", f"Not {word}", text


def _no_mitigation(c: Comparison, before: Estimate) -> str:
    recovered = c.figure(c.attacked, c.rate)
    under = f" Under {c.attack}{_budget(c)} it is {cite(recovered)}." if recovered else ""
    found = "; ".join(f"{name} {cite(figure)}" for name, figure in _counterfactuals(c))
    return f"{_lead(c, before)}{under}" + (f" The same attack reaches: {found}." if found else "")


def _lead(c: Comparison, before: Estimate) -> str:
    return f"The original model's {RATES[c.rate][0]} on {c.kind} targets is {cite(before)}."


def _budget(c: Comparison) -> str:
    steps = c.params.get("steps")
    return f" ({steps} steps)" if steps is not None else ""


def _paired(change: Estimate | None) -> str:
    return f", a change of {with_interval(change)} on the same prompts" if change else ""


def _sentence(names: list[str]) -> str:
    text = " and ".join(names)
    return text[0].upper() + text[1:]


def cite(figure: Estimate) -> str:
    """``0.71 [0.56, 0.83] (n = 48)``."""
    return with_interval(figure) + (f" (n = {figure.n:,})" if figure.n is not None else "")
