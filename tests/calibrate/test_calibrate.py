"""Intervals hold the truth as often, and verdicts are false as seldom, as docs/statistics.md says."""

from pathlib import Path

import numpy as np
import pytest

from dori.calibrate import exact, simulated, verdicts
from dori.calibrate.__main__ import END, START, coverage_of_rates, shares_of
from dori.calibrate.worlds import ONE, World, run
from dori.results.reading.margins import Margins

# where docs/statistics.md says that an interval does not hold, and why: (interval, world) -> the n
SHORT = {
    ("Score_AUC", "memorized vary thrice"): (10, 32), ("FID", "same captions"): (128,),
    ("FID_ratio", "same captions"): (128,),
}  # fmt: skip


@pytest.mark.parametrize("n", [5, 8, 10])
def test_intervals_of_rates_cover_over_the_whole_grid(n: int) -> None:
    for found in (exact.one_rate(n), exact.paired_rates(n), exact.two_rates(n, 5)):
        assert min(found) >= (0.92 if n > 5 else 0.918)
    assert exact.false_above(n) <= 0.025
    assert exact.false_within(n, Margins().rate) <= 0.05


def test_the_chances_of_pairs_are_those_of_their_rates() -> None:
    both, first, second, _ = exact.cells(0.3, 0.1, 0.5)
    assert (both + first, both + second) == pytest.approx((0.3, 0.1))
    assert (both - 0.03) / np.sqrt(0.3 * 0.7 * 0.1 * 0.9) == pytest.approx(0.5)
    assert sum(exact.cells(0.9, 0.1, 0.7)) == pytest.approx(1) and min(exact.cells(0.9, 0.1, 0.7)) >= 0


def test_made_up_rows_have_the_rates_of_their_world() -> None:
    rng, world = np.random.default_rng(0), World(0.9, 0.2, (0.6,), (0.1,), 0.05)
    rates: dict[tuple[str, str], list[float]] = {}
    for _ in range(200):
        for row in run(rng, 20, ONE, world):
            rates.setdefault((row["setting"], row["kind"]), []).append(row["metrics"]["MR"]["value"])
    wanted = {("original", "verbatim"): 0.9, ("wanda", "verbatim"): 0.2, ("original", "seen"): 0,
              ("twin+dori", "verbatim"): 0.1, ("wanda+dori", "unseen"): 0.05}  # fmt: skip
    for key, rate in wanted.items():
        assert np.mean(rates[key]) == pytest.approx(rate, abs=0.03)


def test_the_tables_stand_where_the_page_has_their_place() -> None:
    page = (Path(__file__).parents[2] / "docs" / "statistics.md").read_text()
    assert page.index(START) < page.index("| one rate |") < page.index("The main verdict") < page.index(END)
    block = coverage_of_rates((5,))
    assert len(block.lines) == 1 and len(block.lines[0]) == len(block.columns)
    told = shares_of("x", [("truth", 10, {"suppressed": 0.125, "removed": 0.5})])
    assert told.lines == (("truth", "10", "0.12", "0.50"),)


@pytest.mark.slow
@pytest.mark.parametrize("n", [12, 16, 20, 32, 48])
def test_intervals_of_rates_cover_over_the_whole_grid_at_larger_n(n: int) -> None:
    for found in (exact.one_rate(n), exact.paired_rates(n), exact.two_rates(n, n // 2)):
        assert min(found) >= 0.92
        inner = found[1:-1] if len(found) == len(exact.RATES) else found
        assert np.mean(np.array(inner) <= 0.995) > 0.5  # exact at the edges, where it is 1
    assert exact.false_above(n) <= 0.025
    assert exact.false_within(n, Margins().rate) <= 0.05


@pytest.mark.slow
@pytest.mark.parametrize("part", [
    simulated.single, simulated.shares, simulated.over_images, simulated.overlaps, simulated.distances,
    simulated.others,
])  # fmt: skip
def test_other_intervals_cover_or_the_page_says_where_not(part) -> None:
    for name, world, n, coverage in part(400):
        short = n in SHORT.get((name, world), ())
        error = 2.5 * np.sqrt(0.92 * 0.08 / 100)  # of a simulation that is repeated a hundred times
        assert (coverage < 0.92) if short else (coverage >= 0.92 - error), (name, world, n, coverage)


@pytest.mark.slow
def test_suppressed_is_not_said_where_it_is_false() -> None:
    found = list(verdicts.main(200, (10, 20, 32)))
    assert verdicts.false(found, "suppressed", verdicts.NOT_SUPPRESSED) <= 0.05
    told = {(label, n): shares for label, n, shares in found}
    assert told["attack does nothing, 0 before and after", 10]["recovery_unclear"] > 0.95
    assert told["0.95 → 0.15 → 0.62, twin 0", 32]["suppressed"] > 0.9
    assert told["halves: 0.95 → 0.5", 10]["mitigation_failed"] <= 0.05


@pytest.mark.slow
def test_removed_is_not_said_where_it_is_false() -> None:
    found = list(verdicts.removal(200, (20, 32, 48)))
    wrong = tuple(label for label in verdicts.REMOVAL if label.endswith("false") or "one kind" in label)
    assert verdicts.false(found, "removed", wrong) <= 0.05
    assert (
        verdicts.false(found, "suppressed", ("none comes back", "four attacks inject 0.3, recall none"))
        <= 0.05
    )
    told = {(label, n): shares for label, n, shares in found}
    assert told["none comes back", 32]["removed"] > 0.9 and told["none comes back", 20]["unclear"] > 0.95


@pytest.mark.slow
def test_no_budget_window_is_seen_where_the_attack_injects() -> None:
    found = list(verdicts.budgets(100, (32,)))
    wrong = tuple(label for label in verdicts.SWEPT if "0.15" in label or label.startswith(("no", "0.4")))
    assert verdicts.false(found, "window", wrong) <= 0.05
    assert min(shares["bound holds"] for _, _, shares in found) >= 0.9
