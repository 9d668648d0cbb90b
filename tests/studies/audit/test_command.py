"""``dori experiments=audit`` as scripts meet it: its exit codes, and what it says of what cannot be."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from dori.app import main as app
from tests import tiny
from tests.diffusion.test_lora import written
from tests.studies.audit.test_audit import place

Ends = Callable[..., int]


@pytest.fixture
def ends(v_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ends:
    """``ends("audit.fail_above=0")``: the exit code of an audit of five pictures, on a tiny pipeline."""
    place(tmp_path / "training", range(5))
    words = [
        "experiments=audit", f"model.path={v_folder}", "model.dtype=float32", "model.sampling_steps=2",
        "evaluation/descriptor=minnow", "evaluation.resolution=64", f"data.path={tmp_path}/training",
        "study.seeds=1", "study.others=1", "study.rewordings=0", "study.elicit=0", "study.guidance=null",
        f"cache={tmp_path}/cache", f"hydra.run.dir={tmp_path}/out", "trainer.accelerator=cpu",
    ]  # fmt: skip

    def go(*more: str) -> int:
        # Hydra's own logging would take the handlers of later tests away
        for module in ("hydra.core.utils", "hydra._internal.hydra"):
            monkeypatch.setattr(f"{module}.configure_log", lambda *arguments, **named: None)
        monkeypatch.setattr(sys, "argv", ["dori", *words, *more])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
        try:
            app.main()
        except SystemExit as ended:
            return int(ended.code or 0)
        return 0

    return go


def test_copies_end_a_run_with_3_where_that_is_asked_for(ends: Ends, tmp_path: Path) -> None:
    (tmp_path / "outputs").mkdir()
    for i, seed in enumerate((0, 40, 41)):  # the first is of the training set
        Image.fromarray(tiny.picture(seed, 40, 56)).save(tmp_path / f"outputs/{i}.png")
    two = f"data.generated={tmp_path}/outputs"
    assert ends(two) == 0
    assert ends(two, "audit.fail_above=0") == 3
    assert (tmp_path / "out/audit.html").is_file()  # the report is there all the same
    assert ends(two, "audit.fail_above=1") == 0


def test_a_lora_of_the_model_is_audited_beside_the_model_without_it(
    ends: Ends, v_folder: Path, tmp_path: Path
) -> None:
    lora = written(v_folder, "diffusers", tmp_path / "lora")
    assert ends(f"model.lora={lora}", "model.lora_scale=0.5") == 0
    assert '"setting": "base"' in (tmp_path / "out/rows.json").read_text()


def test_checkpoints_of_a_lora_are_audited_beside_one_another(
    ends: Ends, v_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    adapters = [str(written(v_folder, "diffusers", tmp_path / f"ckpt-{n}", seed=n)) for n in (1000, 500)]
    assert ends("-m", f"model.lora={','.join(adapters)}", f"hydra.sweep.dir={tmp_path}/sweep") == 0
    rows = json.loads((tmp_path / "sweep/rows.json").read_text())
    assert {row["setting"] for row in rows} == {"original", "base"}
    names = {str(row["params"]["model.lora"]) for row in rows if row["setting"] == "original"}
    assert len(names) == 2 and all(any(n in name for name in names) for n in ("ckpt-500", "ckpt-1000"))
    said = capsys.readouterr().out.rpartition("Copies, checkpoint by checkpoint")[2]
    assert said.index("ckpt-500") < said.index("ckpt-1000")  # in the order of their steps
    assert "checkpoint" in said and (tmp_path / "sweep/audit.png").is_file()


def test_a_lora_of_another_architecture_is_one_sentence(
    ends: Ends, v_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    lora = written(v_folder, "diffusers", tmp_path / "lora") / "pytorch_lora_weights.safetensors"
    wider = {
        name: torch.cat([value] * 2, 1) if "down" in name or "lora_A" in name else value
        for name, value in load_file(lora).items()
    }
    save_file(wider, lora)
    assert ends(f"model.lora={lora}") == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("dori: model.lora") and "is of another architecture than the model" in said


def test_pictures_without_captions_are_one_sentence(
    ends: Ends, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    place(tmp_path / "bare", range(2), captions=False)
    assert ends(f"data.path={tmp_path}/bare") == 2
    assert "2 of 2 pictures in" in (said := capsys.readouterr().err) and 'set data.caption="..."' in said
    assert ends(f"data.path={tmp_path}/bare", "data.caption=a red boat") == 0


def test_a_broken_picture_is_named_and_left_out(ends: Ends, tmp_path: Path) -> None:
    (tmp_path / "training/3.png").write_bytes(b"\x89PNG\r\n\x1a\nhalf")
    assert ends() == 0
    rows = (tmp_path / "out/rows.json").read_text()
    assert f"{tmp_path}/training/3.png" in rows
