"""What papers report stands beside the same figures of a run, and beside no others."""

from pathlib import Path

import pytest
from PIL import Image

from dori.results.published.beside import beside, holds, published
from dori.results.published.finding import findings
from dori.results.reading.estimate import Estimate


def row(setting: str, mr: tuple[float, float, float], model: str = "sd14", kind: str = "verbatim", **params):
    value, low, high = mr
    figures = {"MR": {"value": value, "low": low, "high": high, "n": 100}}
    figures["SSCD_Orig"] = {"value": value, "low": None, "high": None, "n": 100, "mad": 0.05}
    return {"setting": setting, "kind": kind, "model": model, "params": params, "metrics": figures}


ROWS = [
    row("nemo", (0.30, 0.21, 0.40)),
    row("nemo+dori", (0.70, 0.60, 0.79), steps=1),
    row("nemo+dori", (0.99, 0.95, 1.0), steps=50),
    row("nemo+dori", (0.5, 0.4, 0.6), steps=30),  # no paper has so many
    row("wanda", (0.0, 0.0, 0.04), **{"pruning.ratio": 0.13}),  # nor this ratio
    row("nemo", (0.2, 0.1, 0.3), model="minnow"),
    row("original", (0.0, 0.0, 0.04), kind="seen"),
]


def test_a_paper_s_figure_stands_beside_the_same_setting_alone() -> None:
    found = {
        (p.setting, p.params.get("steps"), p.kind, p.metric): (p.value, own.value) for p, own in beside(ROWS)
    }
    assert found == {
        ("nemo", None, "verbatim", "MR"): (0.20, 0.30),
        ("nemo", None, "verbatim", "SSCD_Orig"): (0.33, 0.30),
        ("nemo+dori", 1, "verbatim", "MR"): (0.73, 0.70),
        ("nemo+dori", 50, "verbatim", "MR"): (0.99, 0.99),
        ("nemo+dori", 50, "verbatim", "SSCD_Orig"): (0.91, 0.99),
        ("original", None, "seen", "MR"): (0.0, 0.0),
        ("original", None, "seen", "SSCD_Orig"): (0.17, 0.0),
    }


def test_whether_the_paper_s_value_lies_in_the_interval_is_said() -> None:
    (finding,) = findings(ROWS)
    lines = {(line[0], line[2]): line for line in finding.tables[0].lines if line[1] == "memorized"}
    assert lines["nemo", "MR"][3:] == ("0.20", "0.30 [0.21, 0.40] (100)", "0.10", "no")
    assert lines["nemo+dori, 1 step", "MR"][3:] == ("0.73", "0.70 [0.60, 0.79] (100)", "−0.03", "yes")
    assert lines["nemo", "SSCD_Orig"][3:] == ("0.33 ± 0.18", "0.30 (100)", "−0.03", "–")
    assert holds(published()[0], Estimate(0.9)) is None


def test_it_is_drawn_and_other_models_have_nothing_of_it(tmp_path: Path) -> None:
    (finding,) = findings(ROWS)
    finding.write(tmp_path / finding.file)
    assert Image.open(tmp_path / finding.file).size[0] > 900
    assert findings([row("nemo", (0.2, 0.1, 0.3), model="minnow")]) == []


@pytest.mark.parametrize("metric", ["SSCD_Orig", "MR"])
def test_what_is_written_down_are_shares_of_known_settings(metric: str) -> None:
    own = [each for each in published() if each.metric == metric]
    assert len(own) > 10 and all(0 <= each.value <= 1 for each in own)
    assert len({(e.model, e.kind, e.setting, str(e.params)) for e in own}) == len(own)
