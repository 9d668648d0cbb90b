"""A climb that is killed goes on where it was, and ends with the bits of one that was not."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from dori.attacks import Attack
from dori.attacks.parts import merge_parts, write_parts
from dori.attacks.progress import Progress
from dori.core.config import ROOT
from dori.core.predict import Predictor
from dori.data import Target
from dori.diffusion import StableDiffusion
from tests.attacks.held_out import DATA, TARGETS, attack
from tests.attacks.kills import KILLS

STEPS = "attack.steps=6"
ATTACKS = {
    "dori": attack("dori", STEPS),
    "momentum": attack(
        "dori", STEPS, "attack.optimizer._target_=torch.optim.SGD", "+attack.optimizer.momentum=0.9"
    ),
    "random_search": attack("random_search", STEPS),
    "hard_prompt": attack("hard_prompt", STEPS),
    "initial_noise": attack("initial_noise", STEPS),
    "budgets": attack(
        "dori", STEPS, "attack/constraint=l2", "attack.epsilons=[0.5,1]", "attack.snapshots=[0,1,2,6]",
        "attack.restarts=2",
    ),
    "watched": attack("dori", STEPS, "attack.stop=replication", "attack.check_every=1"),
}  # fmt: skip


class Calls:
    """Counts the calls of the U-Net, and ends the process, as it were, before one of them."""

    def __init__(self, model: StableDiffusion, last: int | None = None):
        self.count, self.last = 0, last
        self.hook = model.denoiser.register_forward_pre_hook(self)

    def __call__(self, *arguments: object) -> None:
        self.count += 1
        if self.count == self.last:
            raise KeyboardInterrupt


def replicated(images: Tensor, targets: list[Target]) -> Tensor:
    """Of the second target alone, and not at once."""
    odd = [int(image.sum()) % 3 == 0 for image in images]
    return torch.tensor([x and t is TARGETS[1] for x, t in zip(odd, targets, strict=True)])


def run(
    chosen: Attack, model: StableDiffusion, folder: Path, predictor: Predictor, last: int | None = None
) -> int:
    """How many calls it took to its end, or to its kill."""
    folders = {budget: folder / f"{budget.steps}-{budget.epsilon}" for budget in chosen.budgets}
    for one in folders.values():
        one.mkdir(parents=True, exist_ok=True)
    calls = Calls(model, last)
    judge = replicated if chosen.watches else None
    try:
        write_parts(chosen, model, DATA, TARGETS, [0, 1, 2], folders, predictor, judge)
    except (KeyboardInterrupt, SystemExit):  # Lightning makes the one of the other
        return calls.count
    finally:
        calls.hook.remove()
    for one in folders.values():
        merge_parts(one)
    return calls.count


def triggers(folder: Path) -> dict[str, dict[str, Tensor]]:
    assert {path.name for path in folder.rglob("*") if path.is_file()} == {"triggers.safetensors"}
    return {path.parent.name: load_file(path) for path in folder.rglob("*.safetensors")}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_killed_climb_goes_on_bit_by_bit(
    name: str, make_diffusion: Callable[..., StableDiffusion], predictor: Predictor, tmp_path: Path
) -> None:
    model, chosen = make_diffusion(), ATTACKS[name]
    always = replace(predictor, save_every=0)
    calls = run(chosen, model, tmp_path / "whole", predictor)
    whole = triggers(tmp_path / "whole")
    for _ in range(2):
        run(chosen, model, tmp_path / "killed", always, calls // 2)
    last = run(chosen, model, tmp_path / "killed", always)
    killed = triggers(tmp_path / "killed")
    assert last < calls
    for budget, kept in whole.items():
        for key, value in kept.items():
            assert torch.equal(killed[budget][key].nan_to_num(-7), value.nan_to_num(-7)), (budget, key)


@pytest.mark.parametrize("threads", [1, 2])  # the climb in the main thread, or two climbs beside it
def test_told_to_end_it_loses_nothing(threads: int, v_folder: Path, tmp_path: Path) -> None:
    """Minutes before progress would be kept by the clock."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.attacks.kills", str(v_folder), str(tmp_path), str(threads)], cwd=ROOT,
        capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "2"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    *killed, last, whole = json.loads(ran.stdout.splitlines()[-1])
    assert [status for status, _ in killed] == [143] * len(KILLS)
    assert last[0] == whole[0] == 0
    assert sum(calls for _, calls in [*killed, last]) == whole[1]
    found = {name: triggers(tmp_path / name)[name] for name in ("killed", "whole")}
    for key, value in found["whole"].items():
        assert torch.equal(found["killed"][key].nan_to_num(-7), value.nan_to_num(-7)), key


def test_progress_of_other_budgets_is_left_alone(tmp_path: Path) -> None:
    """Another run has done one of them in the meantime."""
    for of, found in (("[1, 2]", 3.0), ("[2]", 0.0)):
        value = torch.tensor(3.0)
        first = Progress(tmp_path / "climb", 0, "[1, 2]")
        first.hold_tensors(value=value)
        first.save()
        other = torch.tensor(0.0)
        second = Progress(tmp_path / "climb", 0, of)
        second.hold_tensors(value=other)
        second.resume()
        assert float(other) == found


def test_what_cannot_be_read_is_begun_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "climb").write_bytes(b"half")
    Progress(tmp_path / "climb").resume()
    assert "beginning anew" in caplog.text


def test_it_is_kept_a_time_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    progress, kept = Progress(tmp_path / "climb", 300), []
    for now[0] in range(0, 1000, 100):
        progress.save()
        if progress.path.exists():
            kept.append(now[0])
            progress.path.unlink()
    assert kept == [300, 600, 900]
    Progress().save()  # nothing is kept where there is no file
