"""The report: one file, whole, that loads nothing, and says what the rows say."""

from html.parser import HTMLParser

import pytest

from dori.app.report import write_report, write_sweep_report
from dori.results.figures.distributions import write_distributions
from dori.results.figures.grid import write_grid
from dori.results.figures.sweep import write_sweep
from dori.results.reading.rows import merge

STAGES = [
    {"name": "mask", "seconds": 8.13, "cached": True, "denoiser_evaluations": 1920,
     "gradient_evaluations": 0},
    {"name": "attack", "seconds": 44.0, "cached": False, "denoiser_evaluations": 64000,
     "gradient_evaluations": 64000},
    {"name": "originals", "seconds": 0.0, "cached": True, "denoiser_evaluations": 0,
     "gradient_evaluations": 0, "ruler": "sscd_disc_mixup-int8@320"},
]  # fmt: skip
CONFIG = {"pruning": {"ratio": 0.05, "note": "<b> & ${x}"}, "seed": 0}


class Page(HTMLParser):
    """Collects what a page would load, and its text; fails on tags that are not closed."""

    VOID = ("meta", "img", "br")

    def __init__(self, text):
        super().__init__()
        self.loads, self.words, self.open = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        found = [value for name, value in attrs if name in ("src", "href", "srcset", "data")]
        self.loads += [value for value in found if value != "#answers"]
        self.open += [] if tag in self.VOID else [tag]
        assert tag not in ("script", "link", "iframe")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data.strip())


@pytest.fixture
def folder(rows, images, targets, tmp_path):
    write_grid(tmp_path / "grid.png", rows, images, targets, shown={"verbatim": 1})
    write_distributions(tmp_path / "sscd.png", images)
    return tmp_path


def test_the_report_is_one_self_contained_file(folder, rows, images, targets):
    rows[0]["failed"] = ["verbatim/007"]
    for row in rows:
        row["params"] |= {
            "evaluation.descriptor.path": "sscd.pt",
            "evaluation.descriptor.path.hash": "0123abcd",
        }
    write_report(folder / "report.html", rows, images, targets, STAGES, CONFIG)
    text = (folder / "report.html").read_text()
    page = Page(text)
    assert "Measured with sscd.pt 0123abcd (SHA-256)" in page.words
    assert len(page.loads) == 2 and all(link.startswith("data:image/png;base64,") for link in page.loads)
    assert "http:" not in text and "https:" not in text and "url(" not in text
    words = " ".join(page.words)
    for part in (
        "Suppressed, not removed", "dori (50 steps) raises it again",
        "no sign that nothing is there", "0.69 [0.55, 0.80", "minnow: wanda + dori", "65,920", "52.1",
        "judged by sscd_disc_mixup-int8@320",
        "from the cache", "verbatim/007", "ratio: 0.05", "<b> & ${x}", "Development and held-out", "torch ",
    ):  # fmt: skip
        assert part in words, part


def test_without_pictures_the_report_still_stands(rows, images, targets, tmp_path):
    write_report(tmp_path / "report.html", rows, images, targets, [], {})
    assert not Page((tmp_path / "report.html").read_text()).loads


def test_a_bare_run_has_a_report(make_rows, images, targets, tmp_path):
    rows = make_rows(hits={"original": {"unseen": 0}}, fid={})
    write_report(tmp_path / "report.html", rows, images, targets, STAGES, CONFIG)
    assert "No verdict" in (tmp_path / "report.html").read_text()


def test_a_sweep_has_one_verdict_per_study(make_rows, tmp_path):
    rows = merge(make_rows(ratio=ratio) for ratio in (0.05, 0.1))
    write_sweep(tmp_path / "sweep.png", rows)
    write_sweep_report(tmp_path / "report.html", rows, None, ["job 3 failed: out of <memory>"])
    page = Page((tmp_path / "report.html").read_text())
    words = " ".join(page.words)
    assert len(page.loads) == 1
    assert "wanda+dori, ratio = 0.05" in words and "wanda+dori, ratio = 0.1" in words
    assert "out of <memory>" in words
