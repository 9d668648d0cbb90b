"""A model that a defense trained, in the main study: from surrogates to rows, card and adapters."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from diffusers import StableDiffusionPipeline
from huggingface_hub import metadata_load
from PIL import Image

import dori
from dori.app.course import Course
from dori.app.finish import Job
from dori.core.config import build
from dori.core.errors import InputError
from dori.data import KINDS
from dori.diffusion import StableDiffusion
from dori.results.figures.grid import CELL, GAP, HEAD, LABEL, SCORE
from dori.steps.outcome import Outcome
from dori.steps.run import Run
from tests import tiny
from tests.defenses.conftest import LACKING, SMALL

Study = Callable[..., tuple[Run, list[dict], pd.DataFrame, Outcome]]
SURROGATES = [
    "defense.surrogates.images=2", "defense.surrogates.pruning.ratio=0.1",
    "defense.surrogates.pruning.steps=4", "defense.surrogates.pruning.used=2",
    "defense.surrogates.threshold=0.9999", "defense.validation.ordinary=2", "evaluation.threshold=0.99999",
]  # fmt: skip


@pytest.fixture(scope="module")
def study(v_folder: Path, table: Path, ordinary: Path, measures: Path, training: Path) -> Study:
    """``study(cache, "adversarial", ...)``: the study of a defense without pruning; a random descriptor
    finds everything alike, so the thresholds are near 1."""

    def go(cache: Path, option: str, *more: str) -> tuple[Run, list[dict], pd.DataFrame, Outcome]:
        small = [word for word in SMALL if not word.startswith(LACKING.get(option, ("-",)))]
        pruning = () if any(word.startswith("pruning=") for word in more) else ("pruning=none",)
        words = tiny.study_overrides(
            v_folder, table, ordinary, measures, f"cache={cache}", f"data.training={training}",
            f"defense={option}", *small, *SURROGATES, *pruning, *more,
        )  # fmt: skip
        run = Run.configured(tiny.composed(*words))
        outcome = build(run.cfg.study)(run)
        return run, outcome.rows, outcome.images, outcome

    return go


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ordinary pairs to train on, none of which is among those of the quality."""
    folder = tmp_path_factory.mktemp("training")
    for i in range(6):
        tiny.Image.fromarray(tiny.picture(200 + i)).save(folder / f"{i}.png")
    table = pd.DataFrame({"caption": tiny.prompts(6, 30), "image": [f"{i}.png" for i in range(6)]})
    table.to_csv(folder / "training.csv", index=False)
    return folder / "training.csv"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def first(study: Study, cache: Path) -> tuple[Run, list[dict], pd.DataFrame, Outcome]:
    return study(cache, "adversarial")


def named(rows: list[dict], setting: str, kind: str) -> dict[str, Any]:
    (row,) = [row for row in rows if (row["setting"], row["kind"]) == (setting, kind)]
    return row


def test_a_training_done_again_gives_the_same_rows(
    study: Study, first: tuple[Run, list[dict], pd.DataFrame, Outcome], tmp_path: Path
) -> None:
    """Fingerprints too: nothing in them depends on the clock."""
    _, rows, _, _ = study(tmp_path, "adversarial")
    assert rows == first[1]


def test_every_setting_has_its_rows(first: tuple[Run, list[dict], pd.DataFrame, Outcome]) -> None:
    _, rows, images, _ = first
    settings = ["original", "adversarial", "adversarial+dori"]
    expected = [(setting, kind) for setting in settings for kind in KINDS]
    expected += [(setting, "ordinary") for setting in settings[:2]]
    assert [(row["setting"], row["kind"]) for row in rows] == expected
    for row in rows:
        done = "none" if row["setting"] == "original" else "adversarial"
        assert (row["pruning"], row["defense"]) == ("none", done)
        assert row["params"].get("defense.epochs") == (None if done == "none" else 2)
    assert set(images.setting) == set(settings)


def test_the_evaluations_of_the_training_count(first: tuple[Run, list[dict], pd.DataFrame, Outcome]) -> None:
    images = 2 * 2 * 2  # seeds, steps, both halves of the guidance
    surrogates = 2 * images + (2 + 1) * 2 * 2  # two targets; Wanda: prompts and empty one, steps, halves
    attacks = 2 * 2 * 2 * 2  # epochs, targets, steps, pairs
    updates = 2 * 2 * (3 + 2 * 2)  # epochs, updates, ordinary + targets x pairs
    row = named(first[1], "adversarial", "seen")
    assert row["denoiser_evaluations"] == images + surrogates + attacks + updates
    assert row["gradient_evaluations"] == 0
    assert named(first[1], "adversarial+dori", "seen")["gradient_evaluations"] == 2 * 2


def test_the_model_is_trained_and_the_original_untouched(
    first: tuple[Run, list[dict], pd.DataFrame, Outcome], make_diffusion: Callable[..., StableDiffusion]
) -> None:
    run, rows, _, made = first
    plain = make_diffusion().denoiser.state_dict()
    assert all(torch.equal(v, plain[k]) for k, v in run.diffusion.denoiser.state_dict().items())
    assert made.mitigated is not None
    found = made.mitigated.diffusion.denoiser.state_dict()
    assert not torch.equal(found["conv_in.weight"], plain["conv_in.weight"])
    before, after = (named(rows, s, "verbatim")["metrics"]["SSCD_Gen"] for s in ("original", "adversarial"))
    assert after["value"] < before["value"]


def test_a_second_run_computes_nothing_and_reads_no_weights(
    study: Study, cache: Path, first: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reads(self: object) -> None:
        raise AssertionError("a run that finds all in its cache has no use for weights")

    monkeypatch.setattr(StableDiffusion, "pipeline", property(reads))
    run, again, _, _ = study(cache, "adversarial", "defense.save_every=3", "defense.micro_batch=5")
    assert all(stage.cached for stage in run.stages.results)
    assert json.dumps(again) == json.dumps(first[1])


def test_an_ablation_shares_the_surrogates(study: Study, cache: Path, first: tuple) -> None:
    run, rows, _, _ = study(cache, "surrogate", "attack=none")
    fresh = [stage.name for stage in run.stages.results if not stage.cached]
    assert set(fresh) == {
        "training: surrogate", "images: surrogate", "images: surrogate, ordinary captions",
        "measure: surrogate",
    }  # fmt: skip
    assert named(rows, "surrogate", "verbatim")["defense"] == "surrogate"


def test_a_pruned_model_can_be_trained_on(study: Study, cache: Path) -> None:
    _, rows, _, _ = study(cache, "adversarial", "pruning=wanda", "attack=none", "data.ordinary=null")
    settings = list(dict.fromkeys(row["setting"] for row in rows))
    assert settings == ["original", "random", "wanda", "wanda_adversarial"]
    row = named(rows, "wanda_adversarial", "verbatim")
    assert (row["pruning"], row["defense"], row["params"]["pruning.ratio"]) == ("wanda", "adversarial", 0.1)
    assert named(rows, "wanda", "verbatim")["defense"] == "none"


def test_half_of_the_targets_are_trained_on(study: Study, tmp_path: Path) -> None:
    run, rows, _, _ = study(
        tmp_path, "adversarial_half", "data.targets=2", "attack=none", "data.ordinary=null",
        "defense.epochs=1",
    )  # fmt: skip
    assert run.defense is not None
    halves = {target.name: target.half for target in run.data.targets}
    trained = run.defense.made.trained(run.data)
    assert trained
    assert {halves[target.name] for target in trained} == {"development"}
    metrics = named(rows, "adversarial_half", "verbatim")["metrics"]
    assert {"MR/development", "MR/held_out"} & metrics.keys()


def test_surrogates_that_replicate_are_dropped(
    study: Study, cache: Path, first: tuple, caplog: pytest.LogCaptureFixture
) -> None:
    run = first[0]
    defense = run.defense.made
    keep = defense.surrogates.keep
    similar = torch.tensor([[0.2, 0.9], [0.3, 0.4]])
    targets = defense.trained(run.data)
    loose = type(defense.surrogates)(defense.surrogates.pruning, threshold=0.5)
    with caplog.at_level(logging.WARNING):
        assert loose.keep(similar, targets) == {targets[0].name: [0], targets[1].name: [0, 1]}
    assert "1 of 4 surrogates replicate their original" in caplog.text
    assert keep(similar, targets)[targets[0].name] == [0, 1]
    with pytest.raises(InputError, match=r"replicates 1 of 2 targets .*defense.surrogates.pruning"):
        loose.keep(similar + 0.25, targets)


def test_a_memorized_image_among_the_ordinary_ones_is_refused(study: Study, cache: Path, table: Path) -> None:
    memorized = pd.read_csv(table).rename(columns={"prompt": "caption"})[["caption", "image"]]
    path = table.with_name("training.csv")
    memorized.to_csv(path, index=False)
    words = [f"data.training={path}", "attack=none", "data.ordinary=null"]
    with pytest.raises(InputError, match=r"copies of a memorized image.*place 0: .*allow_memorized=true"):
        study(cache, "surrogate", *words)
    study(cache, "surrogate", *words, "defense.allow_memorized=true", "defense.epochs=1")


@pytest.mark.parametrize(("word", "text"), [
    ("attack@defense.attack=none", "defense.attack is no attack; .* set defense.attack=null"),
    ("attack@defense.validation.attack=none", "defense.validation.attack is no attack"),
    ("attack@defense.attack=initial_noise", "defense.attack moves the initial noise"),
    ("pruning@defense.surrogates.pruning=none", "defense.surrogates.pruning is no method"),
])  # fmt: skip
def test_an_option_that_is_nothing_is_refused(word: str, text: str) -> None:
    with pytest.raises(InputError, match=text):
        build(tiny.composed("defense=adversarial", word).defense)


@pytest.mark.parametrize(("words", "text"), [
    (["data.training=null"], "needs ordinary pictures.* set data.training"),
    (["defense.validation.ordinary=6"], "data.training has 6 pictures, .* none is left to train on"),
    (["model.dtype=float16"], r"trains weights in torch.float16: set model.dtype=float32"),
    (["defense.epochs=0"], "defense.epochs must be above zero"),
    (["defense.targets=third"], "defense.targets must be all or half, but is 'third'"),
    (["defense.ema=1"], "defense.ema must be 0 or more and below 1"),
    (["+defense.optimizer.momentum=3"], "defense.optimizer cannot be used"),
    (["defense.attack.snapshots=[0,2]"], "defense.attack takes one budget"),
    (["defense.surrogates.threshold=2"], "defense.surrogates.threshold must lie between 0 and 1"),
    (["attack/start@defense.attack.start=ordinary", "data.ordinary=null"], "needs ordinary captions"),
])  # fmt: skip
def test_what_cannot_succeed_is_refused_before_any_work(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], text: str
) -> None:
    def works(*arguments: object) -> None:
        raise AssertionError("a weight was read, or a stage begun")

    monkeypatch.setattr(StableDiffusion, "pipeline", property(works))
    monkeypatch.setattr("dori.core.stages.Stages.together", works)
    with pytest.raises(InputError, match=text):
        study(tmp_path, "adversarial", *words)


@pytest.fixture(scope="module")
def saved(study: Study, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a job that hands out its model, trained as adapters."""
    out = tmp_path_factory.mktemp("job")
    run, _, _, outcome = study(
        cache, "adversarial_lora", "defense.lora.target_modules=[to_q,to_v]", "save_model=true"
    )
    run.cfg.logger = {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": str(out)}
    with Job(run, out, Course()) as job:
        job.finish(outcome)
    return out


def test_the_pipeline_is_usable_without_dori(saved: Path, v_folder: Path) -> None:
    whole = StableDiffusionPipeline.from_pretrained(saved / "model", use_safetensors=True)
    adapted = StableDiffusionPipeline.from_pretrained(v_folder, use_safetensors=True)
    adapted.load_lora_weights(saved / "model/lora")
    prompt = {"prompt_embeds": torch.ones(1, tiny.TOKENS, tiny.WIDTH), "guidance_scale": 1.0}
    images = [
        pipeline(
            **prompt, num_inference_steps=2, output_type="np", generator=torch.Generator().manual_seed(0)
        ).images
        for pipeline in (whole, adapted)
    ]
    torch.testing.assert_close(torch.tensor(images[0]), torch.tensor(images[1]), rtol=1e-3, atol=1e-3)


def test_the_card_says_what_was_removed_and_what_still_succeeds(saved: Path) -> None:
    card = (saved / "model/README.md").read_text()
    front = metadata_load(saved / "model/README.md")
    assert front["library_name"] == "diffusers"
    assert "base_model" not in front  # a folder of this machine
    assert f"2507.16880) {dori.__version__}, to make" in card
    assert "images it was to forget | 2: 1 verbatim, 1 template" in card
    assert "MR [95 % interval]" in card
    assert "dori (2 steps)" in card
    assert tiny.prompts(1)[0] not in card
    assert str(saved.parent) not in card
    assert "name: adversarial_lora" in card


def test_the_curves_of_the_training_are_kept(saved: Path) -> None:
    table = pd.read_csv(saved / "training.csv")
    assert table.epoch.tolist() == [0, 1, 2]
    assert {"MR", "SSCD_Orig", "ordinary_loss", "score"} <= set(table.columns)
    logged = pd.concat([pd.read_csv(path) for path in saved.rglob("metrics.csv")])
    assert "training/MR" in logged.columns


def test_the_training_is_shown_in_pictures(saved: Path) -> None:
    """A row for the one target that is watched; the training image and three epochs."""
    with Image.open(saved / "training.png") as sheet:
        assert sheet.size == (LABEL + 4 * (CELL + GAP) + GAP, HEAD + CELL + SCORE + 2 * GAP)
    assert "epoch by epoch" in (saved / "report.html").read_text()
