"""How threads wait: by spinning on free cores, else without; what the user has said stays."""

import os
from pathlib import Path

import pytest

from dori.core import crowd


@pytest.mark.parametrize(("text", "crowded"), [
    ("0.00 0.01 0.05 1/98 123\n", False),  # this thread alone, whatever was before
    ("9.00 9.01 9.05 1/98 123\n", False),
    ("0.00 0.01 0.05 3/98 123\n", True),
    ("broken", False),
])  # fmt: skip
def test_others_are_those_that_run_now(text: str, crowded: bool, tmp_path: Path) -> None:
    (tmp_path / "loadavg").write_text(text)
    assert crowd.is_crowded(tmp_path / "loadavg") is crowded
    assert not crowd.is_crowded(tmp_path / "not there")


@pytest.mark.parametrize(("before", "crowded", "after"), [
    (None, True, "passive"), (None, False, None), ("active", True, "active"),
])  # fmt: skip
def test_what_the_user_says_stays(
    before: str | None, crowded: bool, after: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    if before:
        monkeypatch.setenv("OMP_WAIT_POLICY", before)
    monkeypatch.setattr(crowd, "is_crowded", lambda: crowded)
    crowd.wait_without_spinning_where_crowded()
    assert os.environ.get("OMP_WAIT_POLICY") == after
