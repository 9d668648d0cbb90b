"""The training as a whole: what it computes, and that nothing that happens to it makes a difference."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning import Trainer
from safetensors.torch import load_file

from dori.core.config import ROOT
from dori.core.disk import CACHE, room
from dori.core.errors import Failure, InputError
from dori.defenses import Finetuning
from dori.defenses.terms.terms import Step
from dori.defenses.training.checkpoint import Last, Whole, different, last_good
from dori.defenses.training.module import FinetuningModule
from dori.diffusion import StableDiffusion
from tests.defenses.conftest import configured, material_of

Weights = dict[str, torch.Tensor]
Trained = Callable[..., Weights]


def equal(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.fixture(scope="module")
def settings() -> Finetuning:
    return configured()


@pytest.fixture(scope="module")
def whole(trained: Trained, settings: Finetuning, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that nobody touched."""
    folder = tmp_path_factory.mktemp("whole")
    trained(folder, settings)
    return folder


def unet_of(folder: Path) -> Weights:
    return load_file(folder / "diffusion_pytorch_model.safetensors")


def test_it_is_the_plain_loop(
    make_diffusion: Callable[..., StableDiffusion], settings: Finetuning, whole: Path
) -> None:
    """Attack, loss on ordinary pairs + loss on surrogates, AdamW, average: written out."""
    diffusion = make_diffusion("epsilon")
    material = material_of(diffusion)
    module = FinetuningModule(settings, material, dict)
    optimizer = settings.optimizer(list(diffusion.denoiser.parameters()))
    average = {key: value.clone() for key, value in diffusion.denoiser.state_dict().items()}
    for epoch in range(settings.epochs):
        for place, targets in enumerate(module.order(epoch)):
            y = module.adversary(material, targets, epoch)
            for update in range(settings.updates):
                number = (epoch * 2 + place) * settings.updates + update
                step = Step(0, number, targets, y)
                loss = sum(
                    term.weight * diffusion.loss(**term.draw(material, step)).mean()
                    for term in settings.terms.values()
                )
                optimizer.zero_grad()
                loss.backward()  # type: ignore[union-attr]
                torch.nn.utils.clip_grad_norm_(diffusion.denoiser.parameters(), settings.clip)
                optimizer.step()
                decay = settings.ema if number else 0
                for key, value in diffusion.denoiser.state_dict().items():
                    average[key].lerp_(value, 1 - decay)
    for key, value in unet_of(whole).items():
        torch.testing.assert_close(value, average[key], rtol=1e-3, atol=2e-5)


def test_every_target_is_attacked_once_in_an_epoch(
    make_diffusion: Callable[..., StableDiffusion], settings: Finetuning
) -> None:
    module = FinetuningModule(settings, material_of(make_diffusion()), dict)
    orders = [[t.name for part in module.order(epoch) for t in part] for epoch in range(4)]
    assert all(sorted(order) == sorted(orders[0]) for order in orders)
    assert len({tuple(order) for order in orders}) > 1
    assert [len(part) for part in module.order(0)] == [2, 1]


def test_what_comes_out_is_a_unet_and_a_history(whole: Path) -> None:
    assert sorted(path.name for path in whole.iterdir()) == [
        "config.json", "diffusion_pytorch_model.safetensors",
        "epoch-000.safetensors", "epoch-001.safetensors", "epoch-002.safetensors", "timing.json",
        "training.json",
    ]  # fmt: skip
    found = json.loads((whole / "training.json").read_text())
    assert [line["epoch"] for line in found["history"]] == [0, 1, 2]
    assert all({"ordinary_loss", "MR", "SSCD_Orig", "score"} <= line.keys() for line in found["history"])
    assert all("loss_surrogates" in line for line in found["history"][1:])
    for line in found["history"]:
        look = load_file(whole / f"epoch-{line['epoch']:03d}.safetensors")
        assert look["images"].dtype == torch.uint8 and look["images"].shape[:2] == (1, 3)
        assert float(look["SSCD_Orig"].median()) == pytest.approx(line["SSCD_Orig"])
    attacks = 2 * 3 * 2 * 2  # epochs, targets, steps, pairs
    updates = 2 * (
        2 * 2 * 3 + 2 * 3 * 2
    )  # epochs, (attacks x updates x ordinary + updates x targets x pairs)
    assert found["counted"] == {"attack_evaluations": attacks, "denoiser_evaluations": attacks + updates}


def test_the_size_of_its_parts_does_not_matter(
    trained: Trained, settings: Finetuning, whole: Path, tmp_path: Path
) -> None:
    found = trained(tmp_path, replace(settings, micro_batch=2))
    for key, value in unet_of(whole).items():
        torch.testing.assert_close(found[key], value, rtol=1e-3, atol=2e-5)


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("after", [1, 2, 3, 4])
def test_a_training_that_stops_goes_on_to_the_same_bits(
    trained: Trained,
    settings: Finetuning,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    after: int,
) -> None:
    """After a batch within an epoch, at an epoch's end, or in its validation."""
    saved, save = [0], Last.save

    def stopping(self: Last, trainer: Trainer) -> None:
        save(self, trainer)
        saved[0] += 1
        if saved[0] == after:
            raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(Last, "save", stopping)
        with pytest.raises(Interrupted):
            trained(tmp_path, settings)
    assert (tmp_path / "last.ckpt").exists()
    again = trained(tmp_path, settings)
    assert equal(again, unet_of(whole))
    assert (tmp_path / "training.json").read_text() == (whole / "training.json").read_text()


def test_warm_embeddings_outlive_a_stop(
    trained: Trained, settings: Finetuning, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm = replace(settings, warm_steps=1)
    expected = trained(tmp_path / "whole", warm)
    saved, save = [0], Last.save

    def stopping(self: Last, trainer: Trainer) -> None:
        save(self, trainer)
        saved[0] += 1
        if saved[0] == 2:
            raise Interrupted

    with monkeypatch.context() as patch:
        patch.setattr(Last, "save", stopping)
        with pytest.raises(Interrupted):
            trained(tmp_path / "stopped", warm)
    assert equal(trained(tmp_path / "stopped", warm), expected)


def test_a_finished_training_is_not_done_again(
    trained: Trained, settings: Finetuning, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after its last file, before the stage was marked done."""

    def works(*arguments: Any) -> None:
        raise AssertionError("it trains again")

    (whole / "last.ckpt").write_text("left behind")
    monkeypatch.setattr(FinetuningModule, "training_step", works)
    trained(whole, settings)
    assert not (whole / "last.ckpt").exists()


@pytest.mark.slow
def test_ended_at_any_moment_it_changes_nothing(v_folder: Path, tmp_path: Path) -> None:
    """In the middle of a batch, in a process of its own, four times; told to end, it does nothing twice."""
    argument = json.dumps([str(v_folder), str(tmp_path)])
    done = subprocess.run(
        [sys.executable, "-m", "tests.defenses.kills", argument], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert [status for status, _ in found["killed"]] == [-signal.SIGKILL] * 4 + [0]
    assert [status for status, _ in found["told"]] == [128 + signal.SIGTERM] * 4 + [0]
    assert found["whole"] == [[0, sum(updates for _, updates in found["told"])]]
    for way in ("killed", "told"):
        assert equal(unet_of(tmp_path / way), unet_of(tmp_path / "whole"))
        for name in ("training.json", "diffusion_pytorch_model.safetensors"):
            assert (tmp_path / way / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_the_best_epoch_is_kept_and_a_training_that_stalls_ends(
    trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The score is the rate after the attack + the relative rise of the loss on ordinary pairs."""
    rates = [1.0, 0.6, 0.2, 0.4, 0.2, 0.0]
    seen: list[Weights] = []

    def measured(self: Any, material: Any, *given: Any) -> dict[str, float]:
        seen.append({k: v.clone() for k, v in material.diffusion.denoiser.state_dict().items()})
        return {"ordinary_loss": 0.5, "MR": rates[len(seen) - 1]}

    monkeypatch.setattr("dori.defenses.training.validation.Validation.measure", measured)
    few = configured("defense.epochs=5", "defense.keep=best", "defense.patience=2", "defense.updates=1")
    found = trained(tmp_path, few)
    assert len(seen) == 5  # the untouched model, and four epochs: two without a better score
    assert equal(found, seen[2])
    history = json.loads((tmp_path / "training.json").read_text())["history"]
    assert [line["score"] for line in history] == rates[:5]


def test_ablations_change_what_they_say(trained: Trained, tmp_path: Path) -> None:
    surrogate = configured(option="surrogate")
    assert surrogate.attack is None
    only = configured(option="adversarial_only")
    assert list(only.terms) == ["surrogates"]
    trained(tmp_path / "surrogate", surrogate)
    counted = json.loads((tmp_path / "surrogate/training.json").read_text())["counted"]
    assert counted["attack_evaluations"] == 0


def test_lora_trains_adapters_alone_and_leaves_their_file(
    trained: Trained, make_diffusion: Callable[..., StableDiffusion], tmp_path: Path
) -> None:
    small = configured("defense.lora.target_modules=[to_q,to_v]", option="adversarial_lora")
    found = trained(tmp_path, small)
    plain = make_diffusion("epsilon")
    changed = {
        key for key, value in plain.denoiser.state_dict().items() if not torch.equal(value, found[key])
    }
    assert found.keys() == plain.denoiser.state_dict().keys()
    assert changed
    assert all("to_q" in key or "to_v" in key for key in changed)
    # the file alone gives the same model, without dori
    plain.pipeline.load_lora_weights(tmp_path)
    plain.pipeline.fuse_lora()
    fused = {
        k.replace(".base_layer", ""): v for k, v in plain.denoiser.state_dict().items() if "lora" not in k
    }
    for key, value in found.items():
        torch.testing.assert_close(fused[key], value, rtol=1e-4, atol=1e-6)


def test_a_loss_that_is_not_finite_ends_it(trained: Trained, tmp_path: Path) -> None:
    wild = configured("defense.optimizer.lr=1e30", "defense.ema=0")
    with pytest.raises(InputError, match=r"loss is not finite at update \d.*lower defense.optimizer.lr"):
        trained(tmp_path, wild)


def test_a_checkpoint_of_another_configuration_is_refused(
    trained: Trained, settings: Finetuning, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = Last.save

    def once(self: Last, trainer: Trainer) -> None:
        saved(self, trainer)
        raise Interrupted

    monkeypatch.setattr(Last, "save", once)
    with pytest.raises(Interrupted):
        trained(tmp_path, settings)
    path = tmp_path / "last.ckpt"
    assert last_good(path, {"defense": {"name": "adversarial"}}) == path
    with pytest.raises(InputError, match=r"of another configuration: defense\.name, seed differ"):
        last_good(path, {"defense": {"name": "other"}, "seed": 1})


def test_keys_that_differ_are_named() -> None:
    assert different({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}, "d": 0}) == ["a.c", "d"]
    assert different({"a": [1]}, {"a": [1]}) == []


def test_a_full_disk_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(checkpoint: dict, file: Any) -> None:
        file.write(b"half a check")
        raise OSError(28, "No space left on device")

    path = tmp_path / "last.ckpt"
    path.write_text("whole")
    monkeypatch.setattr("torch.save", full)
    with pytest.raises(Failure, match=f"no room, or no quota, is left in {tmp_path}"), room(tmp_path, CACHE):
        Whole().save_checkpoint({}, path)
    assert path.read_text() == "whole"


def test_checkpoints_are_a_time_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Saves:
        strategy, is_last_batch = SimpleNamespace(broadcast=lambda due: due), False

        def save_checkpoint(self, path: Path) -> None:
            saved.append(now[0])

    now, saved = [0.0], []
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    last = Last(tmp_path / "last.ckpt", 900, {})
    for now[0] in range(0, 3000, 100):
        last.on_train_batch_end(Saves(), None, None, None, 0)  # type: ignore[arg-type]
    assert saved == [900, 1800, 2700]
