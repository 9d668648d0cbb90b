"""The verdict says what the figures say, whichever way they fall."""

import copy

import pytest

from dori.metrics.differences import Pairs, paired_difference
from dori.results.verdicts.memory import verdicts

FEW = {"verbatim": 8, "template": 4, "seen": 8, "unseen": 8}


def one(rows):
    ((_, verdict),) = verdicts(rows)
    return verdict


def hits(original=47, wanda=3, recovered=33, twin=1, unseen=0, seen=1):
    return {
        "original": {"verbatim": original, "unseen": 0, "seen": 0},
        "wanda": {"verbatim": wanda, "unseen": 0, "seen": 0},
        "wanda+dori": {"verbatim": recovered, "unseen": unseen, "seen": seen},
        "twin": {"verbatim": 0},
        "twin+dori": {"verbatim": twin},
    }


CASES = {
    "suppressed": hits(),
    "no_recovery": hits(recovered=3),
    "recovery_unclear": hits(recovered=7),
    "injection": hits(twin=33),
    "injection_unclear": hits(twin=29),
    "mitigation_failed": hits(wanda=46, recovered=46),
    "mitigation_unclear": hits(original=30, wanda=26, recovered=26),
    "not_memorized": hits(original=1),
    "memorization_unclear": hits(original=4),
}


def answers(verdict):
    return [line[-1] for line in verdict.figures.lines]


@pytest.mark.parametrize("code", CASES)
def test_each_case(code, make_rows):
    verdict = one(make_rows(hits=CASES[code]))
    assert verdict.code == code
    assert len(verdict.headline.split()) <= 10
    assert all(line[2] == "48" for line in verdict.figures.lines)
    assert ".." not in str(verdict) and ". ;" not in str(verdict) and "None" not in str(verdict)
    assert ("ndecided" in verdict.headline) == ("unclear" in code)


def test_suppressed_cites_everything_it_rests_on(make_rows):
    verdict = one(make_rows(hits=hits()))
    assert [line[0] for line in verdict.figures.lines] == [
        "original: verbatim above unseen controls", "wanda lowers it", "dori (50 steps) raises it again",
        "above that of the twin, attacked", "above that of unseen controls, attacked",
        "above that of seen controls, attacked",
    ]  # fmt: skip
    assert answers(verdict) == ["yes"] * 6
    for figure, line in zip(
        ("0.98 [", "0.06 [", "0.69 [", "0.02 [", "0.00 ["), verdict.figures.lines, strict=False
    ):
        assert line[1].startswith(figure)
    # 33 and 3 of 48, the three among the 33: Newcombe's method 10
    assert verdict.figures.lines[2][3].startswith("0.62 [0.46, 0.7")


@pytest.mark.parametrize(
    ("counts", "blamed"),
    [(hits(twin=33), "the twin"), (hits(unseen=40), "unseen controls"), (hits(seen=40), "seen controls")],
)
def test_injection_names_what_recovers_as_well(counts, blamed, make_rows):
    verdict = one(make_rows(hits=counts))
    assert verdict.code == "injection"
    (line,) = [line for line in verdict.figures.lines if line[-1] == "no, by less than 0.15"]
    assert line[0] == f"above that of {blamed}, attacked"


def test_no_recovery_is_not_sold_as_removal(make_rows):
    verdict = one(make_rows(hits=CASES["no_recovery"]))
    assert "does not prove removal" in verdict.text


@pytest.mark.parametrize(
    ("n", "code"), [(10, "recovery_unclear"), (20, "recovery_unclear"), (22, "no_recovery")]
)
def test_that_nothing_comes_back_takes_as_many_targets_as_the_margin_needs(n, code, make_rows):
    """No copy of n: an upper bound below 0.15 takes 22."""
    counts = hits(original=n, wanda=0, recovered=0, twin=0, seen=0)
    assert one(make_rows(hits=counts, n=dict.fromkeys(FEW, n))).code == code
    other = make_rows(hits=counts, n=dict.fromkeys(FEW, n), **{"margins.rate": 0.3})
    assert one(other).code == "no_recovery"


def test_few_targets_show_a_direction(make_rows):
    counts = hits(original=7, wanda=4, recovered=7, twin=0, seen=0)
    verdict = one(make_rows(hits=counts, n=FEW))
    assert verdict.code == "mitigation_unclear"
    assert any("direction, not a size" in note for note in verdict.notes)


def test_partial_mitigation_is_said(make_rows):
    told = str(one(make_rows(hits=hits(wanda=20, recovered=44))))
    assert "still above that of the controls, by 0.42 [" in told


def test_without_a_twin_the_controls_decide_and_it_is_said(make_rows):
    counts = {setting: kinds for setting, kinds in hits().items() if "twin" not in setting}
    verdict = one(make_rows(hits=counts))
    assert verdict.code == "suppressed"
    assert "There is no twin" in str(verdict)


def test_without_any_counterfactual_nothing_is_claimed(make_rows):
    counts = {s: {"verbatim": k["verbatim"]} for s, k in hits().items() if "twin" not in s}
    assert one(make_rows(hits=counts)).code == "no_counterfactual"


def test_without_an_attack(make_rows):
    counts = {setting: kinds for setting, kinds in hits().items() if "+" not in setting}
    assert one(make_rows(hits=counts)).code == "not_attacked"


def test_without_a_mitigation(make_rows):
    counts = hits()
    counts["original+dori"] = counts.pop("wanda+dori")
    del counts["wanda"]
    verdict = one(make_rows(hits=counts, fid={"original": 18.4}))
    assert verdict.code == "no_mitigation" and verdict.headline.startswith("Memorized")
    assert any(line[0] == "above that of the twin, attacked" for line in verdict.figures.lines)


def test_without_memorized_targets(make_rows):
    counts = {setting: {"unseen": 0} for setting in ("original", "wanda", "wanda+dori")}
    assert one(make_rows(hits=counts)).code == "no_targets"


def test_templates_stand_in_where_nothing_is_verbatim(make_rows):
    counts = {
        "original": {"template": 16, "unseen": 0},
        "wanda": {"template": 0, "unseen": 0},
        "wanda+dori": {"template": 14, "unseen": 0},
    }
    verdict = one(make_rows(hits=counts))
    assert verdict.code == "suppressed"
    assert any("no verbatim targets" in note for note in verdict.notes)


def test_missing_metrics_do_not_break_it(make_rows):
    rows = make_rows(hits=hits())
    for row in rows:
        if row["setting"] == "wanda":
            row["metrics"]["MR"] = {"value": None, "low": None, "high": None, "n": 0}
    assert one(rows).code == "no_result"


@pytest.mark.parametrize(
    ("ratio", "n", "said"),
    [
        ((1.3, 1.2, 1.4), 1000, "1.30 [1.20, 1.40] times the original's, less than 1.5"),
        ((2.2, 1.9, 2.5), 1000, "quality suffers"), ((1.5, 1.3, 1.7), 1000, "more than 1.5 is undecided"),
        ((2.2, 1.9, 2.5), 64, "too few for a claim), KID × 1,000 changes by 4.00 [−1.00, 9.00]."),
    ],
)  # fmt: skip
def test_quality(ratio, n, said, make_rows):
    rows = make_rows(hits=hits(), fid={"original": 18.4, "wanda": 18.4 * ratio[0]})
    for row in rows:
        if (row["setting"], row["kind"]) == ("wanda", "ordinary"):
            row["metrics"]["FID_ratio"] = dict(zip(("value", "low", "high"), ratio, strict=True))
        for entry in row["metrics"].values():
            entry["n"] = n if row["kind"] == "ordinary" else entry["n"]
    assert said in str(one(rows))
    assert ("quality suffers" in str(one(rows))) == ("suffers" in said)


def test_the_baseline_says_whether_the_choice_of_weights_matters(make_rows):
    counts = hits() | {"random": {"verbatim": 46}}
    assert "it matters which" in str(one(make_rows(hits=counts)))
    counts["random"] = {"verbatim": 4}
    assert "makes a difference of less than 0.15" in str(one(make_rows(hits=counts)))
    counts["random"] = {"verbatim": 7}
    assert "is undecided" in str(one(make_rows(hits=counts)))


def test_a_twin_that_replicates_is_called_out(make_rows):
    counts = hits() | {"twin": {"verbatim": 20}}
    assert "not clean" in str(one(make_rows(hits=counts)))


def test_failed_targets_are_counted(make_rows):
    rows = copy.deepcopy(make_rows(hits=hits()))
    for row in rows:
        if (row["setting"], row["kind"]) == ("wanda+dori", "verbatim"):
            row["failed"] = ["verbatim/001", "verbatim/002"]
    assert "2 targets failed" in str(one(rows))


def test_one_verdict_per_mitigation_attack_and_params(make_rows):
    rows = make_rows(ratio=0.05) + make_rows(ratio=0.1)
    found = verdicts(rows)
    assert [comparison.params["ratio"] for comparison, _ in found] == [0.05, 0.1]
    assert all(c.row("wanda", "verbatim")["params"] == c.params for c, _ in found)


def with_pairs(rows, setting, metric, *counts):
    for row in rows:
        if (row["setting"], row["kind"]) == (setting, "verbatim"):
            row["metrics"][metric] = dict(paired_difference(Pairs(*counts)))
    return rows


def test_the_pairs_decide_and_not_the_rates(make_rows):
    """20 against 12 of 48: a rise where the 12 are among the 20, none where the prompts are others."""
    rows = make_rows(hits=hits(wanda=12, recovered=20))
    assert one(with_pairs(rows, "wanda+dori", "MR_difference", 12, 8, 0, 28)).code == "suppressed"
    assert one(with_pairs(rows, "wanda+dori", "MR_difference", 2, 18, 10, 18)).code == "recovery_unclear"
    assert one(with_pairs(rows, "wanda+dori", "MR_over_twin", 1, 19, 18, 10)).code != "suppressed"


def test_a_fall_on_the_common_prompts_is_no_rise(make_rows):
    """28 of 48 kept, 20 of them copies, against 27 of 48 before: the rate is higher, the prompts fell."""
    rows = make_rows(hits=hits(original=48, wanda=27, recovered=27))
    for row in rows:
        if (row["setting"], row["kind"]) == ("wanda+dori", "verbatim"):
            row["metrics"]["MR"] = {"value": 20 / 28, "low": 0.51, "high": 0.87, "n": 28}
    assert one(with_pairs(rows, "wanda+dori", "MR_difference", 20, 0, 7, 1)).code == "no_recovery"


def test_rows_without_pairs_are_compared_as_other_prompts(make_rows):
    rows = make_rows(hits=hits())
    for row in rows:
        row["metrics"] = {name: entry for name, entry in row["metrics"].items() if "pairs" not in entry}
    assert one(rows).code == "suppressed"


def test_restarts_are_told(make_rows):
    rows = make_rows(hits=hits(), restarts=4)
    assert "restarts" not in str(one(rows))
    for row in rows:
        if (row["setting"], row["kind"]) == ("wanda+dori", "verbatim"):
            row["metrics"]["MR_as_many"] = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 48}
    assert "images of 4 restarts; its rise is taken at as many images as without it: 0.50" in str(one(rows))


def test_a_methods_own_score_is_told(make_rows):
    rows = make_rows(hits=hits())
    for row in rows:
        if (row["setting"], row["kind"]) == ("wanda", "verbatim"):
            figures = {"Score": 0.41, "Score_threshold": 0.3, "Score_AUC": 0.97, "Unpruned": 0.125}
            for name, value in figures.items():
                row["metrics"][name] = {"value": value, "low": value, "high": value, "n": 48}
    text = str(one(rows))
    assert "6 of 48 are not above its threshold of 0.30" in text and "AUC of 0.97" in text
