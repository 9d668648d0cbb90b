"""The verdict says what the figures say, whichever way they fall."""

import copy

import pytest

from dori.results.estimate import Estimate, above, share_above
from dori.results.verdict import verdicts

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
    "recovery_unclear": hits(recovered=8),
    "injection": hits(twin=30),
    "mitigation_failed": hits(wanda=46, recovered=46),
    "not_memorized": hits(original=1),
}


@pytest.mark.parametrize("code", CASES)
def test_each_case(code, make_rows):
    verdict = one(make_rows(hits=CASES[code]))
    assert verdict.code == code
    assert "n = 48" in verdict.text
    assert ".." not in str(verdict) and ". ;" not in str(verdict) and "None" not in str(verdict)


def test_suppressed_cites_everything_it_rests_on(make_rows):
    text = str(one(make_rows(hits=hits())))
    for part in ("0.98 [", "0.06 [", "0.69 [", "the twin 0.02 [", "unseen controls 0.00 [", "0.84 of"):
        assert part in text


@pytest.mark.parametrize(
    ("counts", "blamed"),
    [(hits(twin=30), "in the twin"), (hits(unseen=30), "Unseen controls"), (hits(seen=40), "Seen")],
)
def test_injection_names_what_recovers_as_well(counts, blamed, make_rows):
    verdict = one(make_rows(hits=counts))
    assert verdict.code == "injection"
    assert f"{blamed}" in verdict.text.split(". ")[-1]


def test_no_recovery_is_not_sold_as_removal(make_rows):
    verdict = one(make_rows(hits=CASES["no_recovery"]))
    assert "does not prove removal" in verdict.text and "50 steps" in verdict.text


def test_memorization_within_the_intervals_is_unclear(make_rows):
    verdict = one(make_rows(hits=hits(original=4, recovered=3), n=FEW))
    assert verdict.code == "memorization_unclear" and verdict.headline.startswith("Unclear")
    assert "nothing to remove" not in verdict.text


def test_a_fall_within_the_intervals_is_unclear(make_rows):
    counts = hits(original=7, wanda=4, recovered=7, twin=0, seen=0)
    verdict = one(make_rows(hits=counts, n=FEW))
    assert verdict.code == "mitigation_unclear"
    assert "n = 8" in verdict.text
    assert any("direction, not a size" in note for note in verdict.notes)


def test_partial_mitigation_is_said(make_rows):
    assert "still above the controls" in one(make_rows(hits=hits(wanda=20, recovered=44))).text


def test_without_a_twin_the_controls_decide_and_it_is_said(make_rows):
    counts = {setting: kinds for setting, kinds in hits().items() if "twin" not in setting}
    verdict = one(make_rows(hits=counts))
    assert verdict.code == "suppressed"
    assert "There is no twin" in verdict.text


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
    assert verdict.code == "no_mitigation" and "0.69 [" in verdict.text


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
    ("fid", "n", "said"),
    [(23.0, 1000, "FID goes from 18.4 to 23.0"), (40.0, 1000, "2.2 times"), (23.0, 64, "too few")],
)
def test_quality(fid, n, said, make_rows):
    rows = make_rows(hits=hits(), fid={"original": 18.4, "wanda": fid})
    for row in rows:
        for entry in row["metrics"].values():
            entry["n"] = n if row["kind"] == "ordinary" else entry["n"]
    assert said in str(one(rows))
    assert ("quality suffers" in str(one(rows))) == (fid == 40.0)


def test_the_baseline_says_whether_the_choice_of_weights_matters(make_rows):
    counts = hits() | {"random": {"verbatim": 46}}
    assert "it matters which" in str(one(make_rows(hits=counts)))
    counts["random"] = {"verbatim": 4}
    assert "makes no difference" in str(one(make_rows(hits=counts)))


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


def with_difference(rows, setting, metric, value, low, high):
    for row in rows:
        if (row["setting"], row["kind"]) == (setting, "verbatim"):
            row["metrics"][metric] = {"value": value, "low": low, "high": high, "n": 48}
    return rows


def test_a_difference_on_the_same_prompts_decides_where_intervals_overlap(make_rows):
    rows = make_rows(hits=hits(wanda=12, recovered=20))
    assert one(rows).code == "recovery_unclear"
    verdict = one(with_difference(rows, "wanda+dori", "MR_difference", 0.17, 0.02, 0.3))
    assert verdict.code == "suppressed" and "a change of 0.17 [0.02, 0.30] on the same" in verdict.text
    rows = make_rows(hits=hits(original=40, wanda=33, recovered=33))
    assert one(rows).code == "mitigation_failed"
    assert one(with_difference(rows, "wanda", "MR_difference", -0.2, -0.3, -0.05)).code != "mitigation_failed"


def test_a_difference_to_the_twin_decides_whether_it_is_recall(make_rows):
    rows = with_difference(make_rows(hits=hits(twin=24)), "wanda+dori", "MR_over_twin", 0.19, -0.01, 0.3)
    assert one(rows).code == "injection"
    assert one(with_difference(rows, "wanda+dori", "MR_over_twin", 0.19, 0.04, 0.3)).code == "suppressed"


def test_a_methods_own_score_is_told(make_rows):
    rows = make_rows(hits=hits())
    for row in rows:
        if (row["setting"], row["kind"]) == ("wanda", "verbatim"):
            figures = {"Score": 0.41, "Score_threshold": 0.3, "Score_AUC": 0.97, "Unpruned": 0.125}
            for name, value in figures.items():
                row["metrics"][name] = {"value": value, "low": value, "high": value, "n": 48}
    text = str(one(rows))
    assert "6 of 48 are not above its threshold of 0.30" in text and "AUC of 0.97" in text


def test_few_controls_without_a_copy_are_enough_where_chance_is_not():
    """7 of 10 against 0 of 5: the intervals overlap, Fisher's exact test has p = 0.026."""
    attacked, control = Estimate(0.7, 0.35, 0.93, 10), Estimate(0.0, 0.0, 0.52, 5)
    assert share_above(attacked, control) and not above(attacked, control)
    assert not share_above(Estimate(0.5, 0.19, 0.81, 10), control)
