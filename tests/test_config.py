"""Every YAML composes and instantiates; what is misspelt or impossible is refused before any work."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from dori.app.overrides import check_overrides, groups
from dori.core.config import CONF, PACKAGE, ROOT, build, check_keys, check_top, expand_home, nodes
from dori.core.errors import InputError
from dori.core.fingerprints import identity
from dori.core.settings import settings
from dori.diffusion import StableDiffusion
from dori.pruning import NeMo, Wanda, masks
from dori.steps.run import Run
from tests.tiny import composed

# every option of every group, as one would choose it on the command line
PRETRAINED = [path.stem for path in (CONF / "model").glob("*.yaml") if "pretrained" in path.read_text()]
OPTIONS = [(group, option) for group, options in sorted(groups().items()) for option in options]
FILES = [
    path
    for folder in (CONF, ROOT / "experiments", ROOT / "multirun_sweeps")
    for path in sorted(folder.rglob("*.yaml"))
]
WEIGHTS = (PACKAGE / "minnow/weights/descriptor.safetensors").exists()


@pytest.fixture(scope="module")
def whole(v_folder: Path, table: Path) -> dict[str, list[str]]:
    """What an option cannot do without: the files that it is about."""
    pretrained = [f"model.path={v_folder}", f"data.path={table}"]
    mask = table.with_name("mask.safetensors")
    masks.save({"layer": torch.ones(2) > 0}, mask, {})
    known = {
        **{f"model={name}": pretrained for name in PRETRAINED}, "data=folder": [f"data.path={table}"],
        "pruning=from_file": [f"pruning.path={mask}"], "defense=weights": [f"defense.path={mask}"],
        **{f"experiments=paper_{name}": [f"model.path={v_folder}"] for name in ("sd14", "sd20")},
    }  # fmt: skip
    needs = {}
    for group, option in OPTIONS:
        choice, given = f"{group}={option}", known.get(f"{group}={option}", [])
        missing = OmegaConf.missing_keys(composed(choice, *given))
        # networks are made at their first use: a name is enough here
        needs[choice] = [*given, *(f"{key}=x" for key in sorted(missing) if key.startswith("evaluation."))]
    return needs


@pytest.fixture(scope="module", autouse=True)
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """As within a Hydra job: its folder is known to interpolations."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        output = f"hydra.runtime.output_dir={tmp_path_factory.mktemp('job')}"
        cfg = compose("config", [output], return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    yield
    HydraConfig.instance().cfg = None


def test_there_are_options_in_every_group() -> None:
    assert {"study", "model", "data", "pruning", "defense", "attack", "evaluation", "trainer", "logger"} < {
        group for group, _ in OPTIONS
    }
    assert ("experiments", "quickstart") in OPTIONS
    assert ("multirun_sweeps", "pruning_ratio") in OPTIONS
    assert ("attack/constraint", "l2") in OPTIONS


@pytest.mark.parametrize(("group", "option"), OPTIONS, ids=lambda word: word)
def test_an_option_composes_and_its_parts_are_built(
    whole: dict[str, list[str]], group: str, option: str
) -> None:
    cfg = composed(f"{group}={option}", *whole[f"{group}={option}"])
    check_keys(cfg)
    name = group if group in cfg else group.split("/")[0]
    if group == "model" and option.startswith("minnow") and not WEIGHTS:
        pytest.skip("minnow's weights are not there")
    chosen = cfg if group in ("experiments", "multirun_sweeps") else {name: cfg[name]}
    for part in ("attack", "pruning", "defense", "trainer", "logger", "study", "evaluation", "model"):
        if part in chosen and "_target_" in chosen[part]:
            if part == "logger" and "wandb" in chosen[part]["_target_"]:
                continue  # it would start a run
            if part == "model" and group != "model" and not WEIGHTS:
                continue
            assert build(chosen[part]) is not None
    if group == "data" and cfg.data["_target_"] == "dori.data.published":
        with pytest.raises(
            InputError, match=f"run dori data fetch {option}"
        ):  # see tests/data/test_published.py
            build(cfg.data, folder="no/where")
    elif group == "data":
        few = {"minnow": {"targets": 1, "ordinary": 1}, "folder": {"targets": 1}}
        assert build(cfg.data, **few.get(option, {})).targets


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_file_says_first_what_it_is_for(path: Path) -> None:
    """A class that exists, or the command that runs it."""
    lines = path.read_text().splitlines()
    folder = path.relative_to(ROOT).parts[0]
    if folder != "conf":
        assert lines[0] == "# @package _global_"
        assert lines[1].startswith(f"# dori {folder}={path.stem} ")
        return
    if lines[0].startswith("# @package "):  # of which a job may have several
        lines = lines[1:]
    assert lines[0].startswith("# ")
    target = re.search(r"^_target_: (\S+)$", path.read_text(), re.MULTILINE)
    if target:
        if "submitit" in target[1]:
            pytest.importorskip("submitit", reason="dori[slurm] is not installed")
        assert get_object(target[1]) is not None
        named = lines[0].removeprefix("# ").split(";")[0]
        assert get_object(named) is get_object(target[1])


def test_the_default_configuration_is_whole() -> None:
    cfg = composed()
    check_keys(cfg)
    assert not OmegaConf.missing_keys(cfg)
    assert (cfg.model.name, cfg.pruning.name, cfg.attack.name, cfg.defense.name) == (
        "minnow", "wanda", "dori", "none",
    )  # fmt: skip
    assert cfg.attack.steps == 50
    assert cfg.attack.pairs == 8
    assert cfg.attack.optimizer == {"_target_": "torch.optim.Adam", "_partial_": True, "lr": 0.1}


def test_the_quickstart_is_what_dori_does() -> None:
    default, quickstart = composed(), composed("experiments=quickstart")
    quickstart.name = default.name = "the same"
    assert OmegaConf.to_container(quickstart) == OmegaConf.to_container(default)


def test_choices_within_an_attack_reach_it(v_folder: Path) -> None:
    attack = build(composed("attack/constraint=l2", "attack.constraint.epsilon=0.5", "attack.steps=7").attack)
    assert attack.constraint.keywords == {"epsilon": 0.5}
    assert attack.steps == 7


@pytest.mark.parametrize(("key", "value", "place", "hint"), [
    ("attack.stpes", 3, "attack", "steps"),
    ("attack.optimizer.learning", 3, "attack.optimizer", "lr"),
    ("pruning.ratoi", 0.1, "pruning", "ratio"),
    ("model.guidence", 2, "model", "guidance"),
    ("model.twin.guidence", 2, "model.twin", "guidance"),
    ("trainer.acelerator", "cpu", "trainer", "accelerator"),
    ("data.target", 2, "data", "targets"),
])  # fmt: skip
def test_a_misspelt_key_in_a_file_is_found(key: str, value: object, place: str, hint: str) -> None:
    """Hydra merges whatever an experiment file says."""
    cfg = OmegaConf.create(OmegaConf.to_container(composed()))
    OmegaConf.update(cfg, key, value, force_add=True)
    expected = "known: " if hint == "lr" else f"did you mean '{hint}'?"
    with pytest.raises(
        InputError, match=re.escape(f"unknown key in {place} '{key.split('.')[-1]}'; {expected}")
    ):
        check_keys(cfg)


def test_a_misspelt_key_at_the_top_is_found() -> None:
    cfg = composed()
    known = [str(key) for key in cfg]
    check_top(cfg, known)
    cfg = OmegaConf.create({**OmegaConf.to_container(cfg), "atack": {"steps": 3}})
    with pytest.raises(InputError, match="unknown key 'atack'; did you mean 'attack'"):
        check_top(cfg, known)


def test_what_is_missing_is_asked_for() -> None:
    with pytest.raises(InputError, match=r"missing value: give data.path=..., .*model.path=\.\.\."):
        check_keys(composed("model=pretrained"))


KINDS = {
    "StableDiffusionPipeline": (50, 7.5), "StableDiffusionXLInpaintPipeline": (50, 5.0),
    "StableDiffusion3Pipeline": (40, 4.5), "FluxPipeline": (28, 3.5), "PixArtSigmaPipeline": (20, 4.5),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("option", ["pretrained", "audited"])
def test_a_folder_is_sampled_as_the_preset_of_its_family(kind: str, option: str, tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(f'{{"_class_name": "{kind}"}}')
    model = composed(f"model={option}", f"model.path={tmp_path}", "model.dtype=float32").model
    assert (model.sampling_steps, model.guidance) == KINDS[kind]
    told = settings(model, "model")
    assert (told["model.sampling_steps"], told["model.guidance"]) == KINDS[kind]
    assert composed(f"model={option}", f"model.path={tmp_path}", "model.guidance=2").model.guidance == 2


def test_what_no_folder_tells_is_stable_diffusions_or_a_presets_own(tmp_path: Path) -> None:
    def guidance(*words: str) -> float:
        return composed("model=pretrained", *words).model.guidance

    (tmp_path / "model_index.json").write_text("{half a file")
    assert guidance("model.path=me/my-flux") == guidance(f"model.path={tmp_path}") == 7.5
    assert guidance("model.path=black-forest-labs/FLUX.1-dev") == 3.5
    (tmp_path / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    assert guidance("model.path=flux.safetensors", f"model.config={tmp_path}") == 3.5


def test_nodes_are_listed_with_their_paths() -> None:
    cfg = OmegaConf.create({"a": {"b": {"c": 1}, "d": [{"e": 2}]}, "f": "${a}", "g": "???"})
    assert [path for path, _ in nodes(cfg)] == ["a", "a.b", "a.d.0"]


REFUSED = [
    ("pruning.ratio=2", "pruning.ratio must lie between 0 and 1, but is 2"),
    ("pruning.ratio=-0.1", "pruning.ratio must lie between 0 and 1"),
    ("pruning.ratio=0", "pruning.ratio must lie between 0 and 1"),
    ("pruning.used=0", "pruning.used must be above zero"),
    ("pruning.steps=3", r"pruning.steps \(3\) must reach pruning.used \(10\)"),
    ("attack.steps=0", "attack.steps must be above zero, but is 0"),
    ("attack.pairs=-8", "attack.pairs must be above zero, but is -8"),
    ("attack.batch=0", "attack.batch must be above zero"),
    ("model.sampling_steps=0", "model.sampling_steps must be above zero"),
    ("model.images_per_prompt=-1", "model.images_per_prompt must be above zero"),
    ("model.batch=0", "model.batch must be above zero"),
    ("model.guidance=0", "model.guidance must be above zero"),
    ("model.dtype=float33", "model.dtype 'float33'"),
    ("model.path=/no/where", "model.path '/no/where' does not exist"),
    ("data.path=/no/where.csv", "/no/where.csv does not exist"),
    ("data.targets=0", "data.targets must be 1 or more"),
    ("evaluation.threshold=1.5", "evaluation.threshold must lie between 0 and 1"),
    ("evaluation.batch=0", "evaluation.batch must be above zero"),
]


@pytest.mark.parametrize(("override", "text"), REFUSED)
def test_what_cannot_succeed_is_refused_before_any_work(
    v_folder: Path, table: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, override: str, text: str
) -> None:
    def works(*arguments: object) -> None:
        raise AssertionError("a weight was read, or a stage begun")

    monkeypatch.setattr(StableDiffusion, "pipeline", property(works))
    monkeypatch.setattr("dori.core.stages.Stages.run", works)
    cfg = composed(
        "model=pretrained", f"model.path={v_folder}", f"data.path={table}", "evaluation=minnow",
        f"cache={tmp_path}", override,
    )  # fmt: skip
    check_keys(cfg)
    with pytest.raises(InputError, match=text):
        Run.configured(cfg)


BUDGETS = [
    (["pruning.ratio=0.1"], "pruning.ratio and pruning.like are budgets.* set pruning.like=null"),
    (["pruning.like=null"], "pruning needs a budget"),
    (["pruning.like=null", "pruning.count=0"], "pruning.count must be a whole number above zero"),
    (["pruning.layers=values"], "pruning.like prunes in its own layers"),
    (["pruning.like=nemo"], "choose one with pruning@pruning.like=<option>"),
]


@pytest.mark.parametrize("option", ["random", "magnitude", "saliency"])
@pytest.mark.parametrize(("overrides", "text"), BUDGETS)
def test_a_baseline_has_exactly_one_budget(option: str, overrides: list[str], text: str) -> None:
    with pytest.raises(InputError, match=text):
        build(composed(f"pruning={option}", *overrides).pruning)


@pytest.mark.parametrize("option", ["random", "magnitude", "saliency"])
def test_a_baseline_takes_as_much_as_any_method(option: str) -> None:
    for overrides, expected in (
        ([], Wanda(ratio=composed("pruning=wanda").pruning.ratio, base="ordinary", scheduler="ddim")),
        (["pruning.like.ratio=0.3", "pruning.like.base=empty"], Wanda(ratio=0.3, scheduler="ddim")),
        (["pruning@pruning.like=nemo"], NeMo()),
        (["pruning.like=null", "pruning.count=9"], None),
    ):
        check_overrides([f"pruning={option}", *overrides])
        cfg = composed(f"pruning={option}", *overrides)
        check_keys(cfg)
        assert build(cfg.pruning).like == expected


@pytest.mark.parametrize(("option", "ratio"), [("wanda", 0.01), ("wanda_3x", 0.03), ("wanda_10x", 0.1)])
def test_real_models_are_pruned_as_published(option: str, ratio: float) -> None:
    pruning = composed("model=sd14", "data.path=none.csv", f"pruning={option}").pruning
    assert (pruning.ratio, pruning.base) == (pytest.approx(ratio), "empty")


def test_a_share_is_never_above_one() -> None:
    assert composed("pruning=wanda_10x").pruning.ratio == 1


@pytest.mark.parametrize("epsilon", [-1, "nan"])
def test_a_bad_epsilon_is_refused_before_any_work(epsilon: object) -> None:
    with pytest.raises(InputError, match="epsilon must be finite and not negative"):
        build(composed("attack/constraint=linf", f"attack.constraint.epsilon={epsilon}").attack)


def test_a_prompt_that_is_too_long_is_refused_before_any_work(
    v_folder: Path, table: Path, tmp_path: Path
) -> None:
    (tmp_path / "ordinary.txt").write_text("a boat\n" + "lamp " * 30)
    overrides = [
        "model=pretrained", f"model.path={v_folder}", f"data.path={table}", "evaluation=minnow",
        f"data.ordinary={tmp_path}/ordinary.txt", f"cache={tmp_path}",
    ]  # fmt: skip
    with pytest.raises(InputError, match="prompt of 32 tokens, but pretrained takes 16"):
        Run.configured(composed(*overrides))
    Run.configured(composed(*overrides, "model.truncate_prompts=true", "pruning=none"))


def test_what_another_librarys_constructor_refuses_is_one_sentence() -> None:
    node = {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": -1}
    with pytest.raises(InputError, match=r"^torch\.nn\.Linear cannot be built: .*negative"):
        build(OmegaConf.create(node))


@pytest.mark.parametrize(("word", "text"), [
    ("pruning.ratio=abc", "pruning.ratio is 'abc', but must be float"),
    ("attack.steps=1.5", "attack.steps is 1.5, but must be int"),
    ("attack.steps=true", "attack.steps is True, but must be int"),
    ("attack.snapshots=[1,two]", "attack.snapshots is [1, 'two'], but must be "),
    ("attack.optimizer.lr=fast", "attack.optimizer.lr is 'fast', but must be "),
    ("model.twin.guidance=null", "model.twin.guidance is None, but must be float"),
    ("trainer.precision=17", "trainer.precision is 17, but must be "),
])  # fmt: skip
def test_a_value_that_does_not_fit_its_argument_is_refused(word: str, text: str) -> None:
    with pytest.raises(InputError, match=re.escape(text)):
        check_keys(composed(word))


def test_a_target_that_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    cfg = OmegaConf.create({"pruning": {"_target_": "mine.pruning.Method", "name": "mine"}})
    with pytest.raises(
        InputError, match=r"pruning\._target_ 'mine\.pruning\.Method' cannot be imported: .*PYTHONPATH"
    ):
        check_keys(cfg)


def test_an_identity_holds_the_content_of_files_not_their_place(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner/weights").write_text("1")
        (tmp_path / name / "file").write_text("1")

    def node(letter: str) -> DictConfig:
        return OmegaConf.create({
            "folder": str(tmp_path / letter / "inner"), "list": [{"path": f"{tmp_path}/{letter}/file"}],
            "also": "${folder}", "hub": "openai/clip", "number": 1,
        })  # fmt: skip

    one = identity(node("a"))
    assert one == identity(node("b"))
    assert (one["hub"], one["number"], one["also"]) == ("openai/clip", 1, one["folder"])
    (tmp_path / "b/file").write_text("2")
    assert identity(node("b"))["list"] != one["list"]
    (tmp_path / "b/inner/weights").write_text("2")
    assert identity(node("b"))["folder"] != one["folder"]


def test_a_file_beside_the_working_folder_counts_by_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``evaluation.descriptor.path=sscd.pt``, as in the README."""
    monkeypatch.chdir(tmp_path)
    node = OmegaConf.create({"path": "sscd.pt"})
    found = []
    for content in ("1", "2"):
        (tmp_path / "sscd.pt").write_text(content)
        found.append(identity(node))
    assert found[0] != found[1]


DEFENSES = sorted(path.stem for path in (CONF / "defense").glob("*.yaml"))


@pytest.mark.parametrize("option", [name for name in DEFENSES if name != "none"])
def test_a_defense_starts_from_the_original_weights_unless_somebody_asks(option: str) -> None:
    assert composed(f"defense={option}").pruning.name == "none"
    assert composed("pruning=nemo", f"defense={option}").pruning.name == "nemo"


def test_the_tables_of_defenses_have_every_kind_of_them() -> None:
    listed = {
        name: set(OmegaConf.load(ROOT / f"experiments/{name}.yaml").hydra.sweeper.params.defense.split(","))
        for name in ("table2", "table2_full")
    }
    assert listed["table2_full"] == set(DEFENSES) - {"weights"}  # which somebody has to bring
    assert {"random_tokens", "bos_attention", "embedding_adjustment"} < listed["table2"]


def test_a_tilde_is_the_home_folder_in_any_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is hashed: the identity of a file is its content, not the name of its folder."""
    monkeypatch.setenv("HOME", "/somebody")
    cfg = composed("model=pretrained", "model.path='~/sd'", "data.path='~/a = (1), b.csv'", "cache='~/cache'")
    OmegaConf.update(cfg, "study.models", ["~/one", "/two", "~"], force_add=True)
    cfg.data.training = "${data.path}"
    expand_home(cfg)
    assert (cfg.model.path, cfg.cache) == ("/somebody/sd", "/somebody/cache")
    assert cfg.data.path == cfg.data.training == "/somebody/a = (1), b.csv"
    assert cfg.study.models == ["/somebody/one", "/two", "/somebody"]
