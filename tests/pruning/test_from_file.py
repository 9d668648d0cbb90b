"""Masks that somebody else made: applied as they are, and refused where they do not fit."""

import csv
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dori.core.errors import InputError
from dori.data import Data, Target
from dori.data.targets import Ordinary
from dori.diffusion import StableDiffusion
from dori.pruning import FromFile, masks
from dori.pruning.from_file import neuron_lists
from dori.pruning.masks import Mask
from dori.pruning.selection import Selection
from tests import tiny

Make = Callable[..., StableDiffusion]
Write = Callable[..., Path]
HEADER = "Caption;URL;Initial Neurons;Initial SSIM;Refined Neurons;Refined SSIM"
WIDTHS = [16, 32, 32]  # of the tiny U-Net's value layers


def keep(*arguments: object) -> None:
    raise AssertionError("nothing is kept")


@pytest.fixture(scope="module")
def model(make_diffusion: Make) -> StableDiffusion:
    return make_diffusion()


@pytest.fixture(scope="module")
def data() -> Data:
    texts = enumerate(["a red boat; on a lake", "a green lamp", 'the "blue" cup'])
    return Data(
        [Target(f"verbatim/{i}", text, "verbatim", tiny.picture(i)) for i, text in texts], Ordinary([])
    )


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """``write(row, row)``: a table of NeMo's with these rows."""

    def table(*rows: str, header: str = HEADER) -> Path:
        (tmp_path / "neurons.csv").write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        return tmp_path / "neurons.csv"

    return table


ROWS = [
    '"a red boat; on a lake";http://x;[[1, 2, 2], [], [31]];0.4;[[2], [], []];0.2',
    '"the ""blue"" cup";;[[], [0], [31, 5]];0.4;[[], [0], [5]];0.2',
    "somebody else's prompt;;[[9], [9], [9]];0.4;[[9], [9], [9]];0.2",
]


def select(method: FromFile, model: StableDiffusion, data: Data) -> Selection:
    return method.select(model, data.targets, data, keep)


def neurons(mask: Mask) -> list[list[int]]:
    return [part.nonzero().flatten().tolist() for part in mask.values()]


def test_a_table_gives_each_prompt_its_own_neurons(model: StableDiffusion, data: Data, write: Write) -> None:
    method = FromFile(str(write(*ROWS)))
    found = select(method, model, data)
    assert method.per_prompt
    assert [neurons(mask) for mask in found.masks] == [[[2], [], []], [[], [], []], [[], [0], [5]]]
    for mask in found.masks:
        assert list(mask) == list(model.layers("values"))
        assert [tuple(part.shape) for part in mask.values()] == [(width,) for width in WIDTHS]
    assert found.evaluations == 0
    assert found.facts == {"listed": ["verbatim/0", "verbatim/2"]}


def test_the_initial_neurons_can_be_taken_where_one_listed_twice_counts_once(
    model: StableDiffusion, data: Data, write: Write
) -> None:
    found = select(FromFile(str(write(*ROWS)), neurons="initial"), model, data)
    assert [neurons(m) for m in found.masks] == [[[1, 2], [], [31]], [[], [], []], [[], [0], [5, 31]]]


def test_the_union_is_that_of_the_targets_alone(model: StableDiffusion, data: Data, write: Write) -> None:
    method = FromFile(str(write(*ROWS)), apply="union")
    assert not method.per_prompt
    (mask,) = select(method, model, data).masks
    assert neurons(mask) == [[2], [0], [5]]
    (mask,) = select(method, model, replace(data, targets=data.targets[:2])).masks
    assert neurons(mask) == [[2], [], []]


def test_a_table_as_the_released_code_writes_it_is_read(tmp_path: Path) -> None:
    """By csv.DictWriter with lists as they are, line endings and all."""
    path, lists = tmp_path / "neurons_v1_4.csv", [[]] * 6 + [[3, 7]]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, HEADER.split(";"), delimiter=";")
        writer.writeheader()
        for caption in ("plain", 'with "quotes"; and\nlines', "é"):
            row = {"Caption": caption, "Refined Neurons": lists, "Initial Neurons": [[]] * 7}
            writer.writerow({"URL": "u", "Initial SSIM": 0, "Refined SSIM": 0.1} | row)
    found = neuron_lists(path, "Refined Neurons")
    assert list(found) == ["plain", 'with "quotes"; and\nlines', "é"]
    assert all(neurons == lists for _, neurons in found.values())


@pytest.mark.parametrize("kind", ["weights", "neurons"])
def test_a_saved_mask_comes_back_as_it_was(
    model: StableDiffusion, data: Data, tmp_path: Path, kind: str
) -> None:
    generator = torch.Generator().manual_seed(0)
    layers = model.layers("all_values")
    mask = {
        name: torch.rand(layer.weight.shape[: 2 if kind == "weights" else 1], generator=generator) < 0.3
        for name, layer in layers.items()
    }
    masks.save(mask, tmp_path / "mask.safetensors", {"by": "hand"})
    method = FromFile(str(tmp_path / "mask.safetensors"))
    (found,) = select(method, model, data).masks
    assert not method.per_prompt
    assert found.keys() == mask.keys()
    assert all(torch.equal(found[name], mask[name]) for name in mask)


@given(
    st.lists(
        st.lists(st.lists(st.integers(0, 2000), max_size=5), min_size=1, max_size=7), min_size=1, max_size=4
    )
)
def test_lists_are_read_as_python_writes_them(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[list[int]]]
) -> None:
    path = tmp_path_factory.mktemp("table") / "neurons.csv"
    lines = [f"prompt {i};;{[]};0;{lists};0" for i, lists in enumerate(rows)]
    path.write_text("\n".join([HEADER, *lines]))
    assert [neurons for _, neurons in neuron_lists(path, "Refined Neurons").values()] == rows


@pytest.mark.parametrize("cell", [
    "", "7", "[1, 2]", "[[1, 2], [], [", "[[1.0], [], []]", "[[True], [], []]", "[['1'], [], []]", "[[NaN]]",
    '[["1"], [], []]', "[[[1]], [], []]", "{}", "None", "__import__('os').getcwd()", "[[" * 3000,
])  # fmt: skip
def test_what_is_no_list_of_lists_is_refused_with_its_line(write: Write, cell: str) -> None:
    quoted = cell.replace('"', '""')
    path = write("fine;;[[]];0;[[], [], []];0", f'a boat;;[[]];0;"{quoted}";0')
    with pytest.raises(InputError, match=r"neurons\.csv, line 3: .* is no list of lists of neurons such as"):
        FromFile(str(path))


def test_a_byte_order_mark_is_no_part_of_a_column(write: Write) -> None:
    FromFile(str(write(*ROWS, header="\ufeff" + HEADER)))


def test_a_row_that_is_too_short_is_refused(write: Write) -> None:
    with pytest.raises(InputError, match="line 2: '' is no list of lists"):
        FromFile(str(write("a boat;;[[]]")))


@pytest.mark.parametrize(("lists", "text"), [
    ([[16], [], []], r"line 2: neuron 16 of layer down_blocks\.0.*to_v, which has 16: .* another model"),
    ([[], [], [-1]], r"line 2: neuron -1 of layer mid_block.*which has 32"),
    ([[]] * 7, "line 2: neurons of 7 layers, but the model has 3 value layers .* belongs to another model"),
    ([], "line 2: neurons of 0 layers, but the model has 3"),
])  # fmt: skip
def test_neurons_that_the_model_lacks_are_refused_whosever_they_are(
    model: StableDiffusion, data: Data, write: Write, lists: list, text: str
) -> None:
    path = write(f"somebody else's prompt;;[];0;{lists};0", *ROWS[:2])
    with pytest.raises(InputError, match=text):
        select(FromFile(str(path)), model, data)


def test_a_table_of_other_prompts_is_refused(model: StableDiffusion, data: Data, write: Write) -> None:
    with pytest.raises(InputError, match=r"lists 1 captions, but none is the prompt of a target.*'a red"):
        select(FromFile(str(write(ROWS[2]))), model, data)
    with pytest.raises(InputError, match="lists 0 captions"):
        select(FromFile(str(write())), model, data)


def test_a_caption_that_is_there_twice_is_refused(write: Write) -> None:
    with pytest.raises(InputError, match=r"line 5: .somebody else's prompt. is there twice; drop one"):
        FromFile(str(write(*ROWS, ROWS[2])))


@pytest.mark.parametrize("header", ["Caption;URL", "Caption,Refined Neurons", ""])
def test_a_table_without_the_columns_is_refused(write: Write, header: str) -> None:
    with pytest.raises(InputError, match=r"lacks the columns .*'Refined Neurons'.* of NeMo's table; has"):
        FromFile(str(write(*ROWS, header=header)))


@pytest.mark.parametrize("name", ["mask.pt", "mask.pkl", "mask.bin", "mask.CKPT"])
def test_a_pickle_is_refused_by_its_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=rf"pruning\.path '.*{name}' is pickled: it can run code"):
        FromFile(str(tmp_path / name))


@pytest.mark.parametrize("name", ["mask.safetensors", "mask.csv", "mask"])
def test_a_pickle_of_another_name_is_refused_and_never_run(tmp_path: Path, name: str) -> None:
    class Harm:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "harm",))

    (tmp_path / name).write_bytes(pickle.dumps([Harm(), b"\xff\xfe\x00"]))
    with pytest.raises(InputError, match=r"cannot read the|is no UTF-8"):
        FromFile(str(tmp_path / name))
    assert not (tmp_path / "harm").exists()


def test_a_file_that_is_not_there_is_asked_for(tmp_path: Path) -> None:
    for path in (tmp_path / "none.safetensors", tmp_path):
        with pytest.raises(InputError, match=r"pruning\.path '.*' is no file; give \.safetensors or \.csv"):
            FromFile(str(path))


def test_unknown_choices_are_refused(write: Write) -> None:
    path = str(write(*ROWS))
    with pytest.raises(InputError, match=r"unknown pruning\.neurons 'refind'; did you mean 'refined'"):
        FromFile(path, neurons="refind")
    with pytest.raises(InputError, match=r"unknown pruning\.apply 'per-prompt'; did you mean 'per_prompt'"):
        FromFile(path, apply="per-prompt")


@pytest.mark.parametrize(("name", "shape", "text"), [
    ("down_blocks.9.to_v", (4,), "unknown layer in the mask 'down_blocks.9.to_v'"),
    ("mid_block.attentions.0.transformer_blocks.0.attn2.to_v", (31,), r"shape \(31,\), the layer's weights"),
])  # fmt: skip
def test_a_saved_mask_of_another_model_is_refused(
    model: StableDiffusion, data: Data, tmp_path: Path, name: str, shape: tuple, text: str
) -> None:
    masks.save({name: torch.ones(shape) > 0}, tmp_path / "mask.safetensors", {})
    with pytest.raises(InputError, match=text):
        select(FromFile(str(tmp_path / "mask.safetensors")), model, data)
