"""The site builds, and nothing in it is missing."""

import subprocess
import sys
from pathlib import Path

from dori.core.config import ROOT


def test_the_site_builds_strictly(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "encode_prompts" in (tmp_path / "site/api/index.html").read_text()
