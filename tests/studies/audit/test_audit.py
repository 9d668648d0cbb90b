"""The audit as a whole, on a tiny pipeline that knows none of its pictures."""

import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from dori.app.course import Course
from dori.app.finish import Job
from dori.app.needs import in_cache
from dori.app.plan import rehearsed
from dori.core.config import PACKAGE, build
from dori.core.errors import InputError
from dori.steps.run import Run
from dori.steps.soundness import check_models
from tests import tiny

SCHEMA = json.loads((PACKAGE / "studies/audit/audit.schema.json").read_text())
ATTACK = ["attack.steps=2", "attack.pairs=2", "attack.batch=4"]
SMALL = [
    "experiments=audit", "model=pretrained", "data=collection", "evaluation=minnow", "study.seeds=2",
    "study.others=2", "study.rewordings=1", "study.elicit=2", "study.controls=3",
    "study.controls_attacked=2", "study.balls=[0.1,0.4]", "study.images=1",
]  # fmt: skip
Audit = Callable[..., Path]
Configured = Callable[..., Run]


def place(folder: Path, seeds: range, captions: bool = True) -> Path:
    """Pictures with kohya's captions."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, seed in enumerate(seeds):
        Image.fromarray(tiny.picture(seed, *((tiny.SIDE, tiny.SIDE) if i % 2 else (40, 56)))).save(
            folder / f"{seed}.png"
        )
        if captions:
            (folder / f"{seed}.txt").write_text(tiny.prompts(1, seed)[0])
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("audit")
    place(root / "training", range(5))
    place(root / "heldout", range(20, 26))
    place(root / "outputs", range(30, 34), captions=False)
    return root


@pytest.fixture(scope="module")
def configured(
    v_folder: Path, epsilon_folder: Path, measures: Path, pictures: Path, tmp_path_factory: Any
) -> Configured:
    cache = tmp_path_factory.mktemp("cache")

    def go(*more: str, base: bool = True) -> Run:
        twin = [
            "+model.twin._target_=dori.diffusion.StableDiffusion", "+model.twin.name=tiny_base",
            f"+model.twin.path={v_folder}", f"+model.twin.denoiser={epsilon_folder}/unet",
            "+model.twin.sampling_steps=2", "+model.twin.guidance=2.0", "+model.twin.batch=8",
        ]  # fmt: skip
        words = tiny.study_overrides(v_folder, pictures, pictures, measures, "pruning=none")
        # minnow's descriptor: one with random weights takes all pictures for one
        own = ("data.", "attack.", "evaluation.descriptor", "+evaluation.descriptor", "evaluation.resolution")
        words = [word for word in words if not word.startswith(own)]
        words += [f"data.path={pictures}/training", f"cache={cache}", *(twin if base else [])]
        words += [] if "attack=none" in more else ATTACK
        return Run.configured(tiny.composed(*SMALL, *words, *more))

    return go


@pytest.fixture(scope="module")
def audit(configured: Configured, tmp_path_factory: Any) -> Audit:
    def go(*more: str, base: bool = True) -> Path:
        out, run = tmp_path_factory.mktemp("job"), configured(*more, base=base)
        check_models(run.stages, run.diffusion)
        run.cfg.logger = {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": str(out)}
        with Job(run, out, Course(dict)) as job:
            job.finish(build(run.cfg.study)(run))
        return out

    return go


@pytest.fixture(scope="module")
def whole(audit: Audit, pictures: Path) -> Path:
    return audit(f"data.heldout={pictures}/heldout", "data.trigger=a red boat")


def told(out: Path) -> dict[str, Any]:
    found = json.loads((out / "audit.json").read_text())
    jsonschema.validate(found, SCHEMA)
    return found


def test_the_record_is_what_its_schema_says(whole: Path) -> None:
    found = told(whole)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert [p["name"] for p in found["pictures"]] == [f"{i}.png" for i in range(5)]
    assert found["held_out"]["pictures"] == 6
    assert found["routes"][0]["threshold"]["source"] == "held_out"
    # six held-out pictures bear one in seven, not one in a hundred
    assert found["routes"][0]["threshold"]["borne"] == pytest.approx(1 / 7)
    assert set(found["screening"]) == {"magnitude", "loss_gap"}


def test_every_way_is_tried_for_what_the_cheaper_ones_left(whole: Path) -> None:
    found = told(whole)
    names = [route["name"] for route in found["routes"]]
    assert names[:3] == ["caption", "prompt", "guidance"]
    left = 5
    for route in found["routes"][:3]:
        assert route["tried"] == left
        left -= route["copied"]
    assert all(route["tried"] <= 2 for route in found["routes"][3:])


def test_the_similarities_are_those_of_the_files_that_it_names(whole: Path) -> None:
    """Against the descriptor itself, on files read by another way."""
    import torch

    from dori.minnow.descriptor import Descriptor

    network = Descriptor(path=str(PACKAGE / "minnow/weights/descriptor.safetensors")).eval()

    def described(file: str) -> np.ndarray:
        image = Image.open(file).convert("RGB")
        side = min(image.size)
        left, top = ((length - side) // 2 for length in image.size)
        image = image.crop((left, top, left + side, top + side)).resize((64, 64), Image.Resampling.BICUBIC)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            return network(pixels)[0].numpy()

    for picture in told(whole)["pictures"]:
        a, b = described(picture["file"]), described(picture["output"])
        assert picture["similarity"] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=0.02)


def test_the_report_is_one_file_that_loads_nothing(whole: Path) -> None:
    html = (whole / "audit.html").read_text()
    assert told(whole)["sentence"].split(":")[0] in html
    assert not re.search(r"(src|href)=\"(?!data:)", html)
    assert html.count("<tr") >= 5


def test_every_output_names_the_network_that_judged(whole: Path) -> None:
    found = told(whole)["judge"]
    weights = PACKAGE / "minnow/weights/descriptor.safetensors"
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()[:8]
    assert found == {"name": "minnow-sscd", "weights": f"descriptor.safetensors {digest}"}
    for name in ("audit.html", "model-card-audit.md"):
        assert f"Judged by minnow-sscd (descriptor.safetensors {digest})." in (whole / name).read_text()
    for row in json.loads((whole / "rows.json").read_text()):
        assert row["params"]["evaluation.descriptor.path.hash"] == digest


def test_elicitation_has_a_rate_of_its_own(whole: Path) -> None:
    """Three controls bear one in four, two one in three; six stand behind the captions."""
    for name in ("audit.html", "model-card-audit.md"):
        said = (whole / name).read_text()
        assert re.search(
            r"14\.3 % \(95 %: [^)]*\)[^.]* by their captions, and 14\.3 % above that of other", said
        )
        assert re.search(r"25\.0 % \(95 %: [^)]*\) by guidance from the base, with 3 controls", said)
        assert re.search(r"33\.3 % \(95 %: [^)]*\) by DoRI, with 2 controls", said)


def test_the_rows_count_the_copies(whole: Path) -> None:
    rows, found = json.loads((whole / "rows.json").read_text()), told(whole)
    assert [row["setting"] for row in rows] == ["original", "base"]
    copied = rows[0]["metrics"]["Copied"]
    assert copied["n"] == 5
    assert copied["value"] == pytest.approx(found["counts"]["copied"]["count"] / 5)
    assert rows[0]["params"]["study"] == "Audit"


def test_what_it_will_write_and_which_stages_come_first_are_known_beforehand(
    configured: Configured, audit: Audit, pictures: Path, tmp_path: Path
) -> None:
    """Of a model that gives nothing back: the count is exact."""
    words = [f"data.heldout={pictures}/heldout", "data.trigger=a red boat", f"cache={tmp_path}"]
    run = configured(*words)
    plan, need = rehearsed(run), in_cache(run)
    planned = plan.stages
    assert not plan.whole  # what is drawn next depends on what these give
    assert [stage.label for stage in planned] == [
        "measure: training pictures", "measure: held-out pictures", "screening: original", "screening: base",
        "images: original, captions", "images: original, trigger and empty prompt",
    ]  # fmt: skip
    audit(*words)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    drawn = sum(path.suffix == ".png" for path in files)
    assert need.files == drawn + 1  # the attack's embeddings
    done = rehearsed(configured(*words)).stages
    assert {stage.key for stage in planned} < {stage.key for stage in done}
    assert all(stage.cached for stage in done)
    for stage in planned:
        counted = json.loads((tmp_path / stage.key[0] / stage.key[1] / "done.json").read_text())
        assert stage.cost.forward == counted["info"].get("denoiser_evaluations", 0)


def test_without_thumbnails_no_picture_is_in_the_report(audit: Audit, pictures: Path) -> None:
    words = [f"data.heldout={pictures}/heldout", "data.trigger=a red boat"]
    audit(*words)
    out = audit(*words, "audit.thumbnails=false")
    assert "data:image/webp" not in (out / "audit.html").read_text()
    timing = json.loads((out / "timing.json").read_text())
    assert all(stage["cached"] for stage in timing)  # nothing is computed twice


def test_a_folder_of_outputs_needs_no_model(audit: Audit, pictures: Path) -> None:
    Image.open(pictures / "training/3.png").save(pictures / "outputs/leak.png")
    out = audit(f"data.generated={pictures}/outputs", f"data.heldout={pictures}/heldout")
    found = told(out)
    (pictures / "outputs/leak.png").unlink()
    assert (found["mode"], found["model"], found["outputs"]) == ("outputs", None, 5)
    assert [p["name"] for p in found["pictures"] if p["verdict"] == "output"] == ["3.png"]
    assert found["sentence"].startswith("1 of 5 audited pictures is copied in the outputs")
    assert found["pictures"][3]["p"] == pytest.approx(1 / 7)
    page = (out / "audit.html").read_text()
    assert "leak.png, similarity 1.00" in page  # the output's own file is named
    for name in ("audit.html", "model-card-audit.md"):
        said = (out / name).read_text()
        assert "not found in the outputs" in said
        assert not re.search("budget|caption 0|elicitation|ways of asking|other pictures' prompts", said)


def test_two_folders_with_nothing_held_out_bear_no_p(audit: Audit, pictures: Path) -> None:
    out = audit(f"data.generated={pictures}/outputs")
    assert {(p["p"], p["q"]) for p in told(out)["pictures"]} == {(None, None)}
    page = (out / "audit.html").read_text()
    assert "1.000" not in page and "against nothing" not in page


def test_without_held_out_pictures_the_base_stands_in(audit: Audit) -> None:
    limit = told(audit())["routes"][0]["threshold"]
    assert (limit["source"], limit["n"]) == ("base", 5)
    limit = told(audit("data.heldout=0.4"))["routes"][0]["threshold"]
    assert (limit["source"], limit["n"]) == ("base", 2)


def test_without_both_the_published_threshold_decides(audit: Audit) -> None:
    found = told(audit("attack=none", base=False))
    assert [route["threshold"]["source"] for route in found["routes"]] == ["published"] * 2
    assert found["base"] is None and found["by_chance"] is None


def test_one_picture_is_enough(audit: Audit, tmp_path: Path) -> None:
    place(tmp_path, range(1))
    found = told(audit(f"data.path={tmp_path}"))
    assert found["training"]["pictures"] == 1


@pytest.mark.parametrize(("word", "said"), [
    ("study.rate=0", "study.rate must lie between 0 and 1"),
    ("study.seeds=0", "study.seeds must be a whole number, 1 or more, but is 0"),
    ("study.balls=[0.4,0.1]", "study.balls must be rising sizes above zero"),
    ("attack=dori", "needs a ball"),
])  # fmt: skip
def test_options_that_cannot_be_are_refused(audit: Audit, word: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        audit(word)
