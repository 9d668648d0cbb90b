"""A mask that somebody else made: dori's own files, or the table of NeMo's released code."""

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from dori.core.errors import InputError, unknown
from dori.data import Data, Target
from dori.data.texts import read_text
from dori.diffusion import Diffusion
from dori.pruning import masks
from dori.pruning.masks import Mask, of_neurons, union
from dori.pruning.selection import Keep, Selection

COLUMNS = {"refined": "Refined Neurons", "initial": "Initial Neurons"}
PICKLED = (".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt")


@dataclass(frozen=True)
class FromFile:
    """Apply the mask in a file.

    Args:
        path: ``.safetensors`` as ``dori.pruning.masks.save`` writes them, one mask for all prompts; or
            ``.csv`` as the released code of NeMo (arXiv 2406.02366) writes it: ``;`` between the
            columns, a row per prompt, neurons as a list of lists, one per value layer.
        neurons: of the table, the ``refined`` or the ``initial`` ones.
        apply: of the table, to each prompt its own (``per_prompt``), or the ``union`` of the targets'.
            A target that the table does not list has no neurons.
    """

    path: str
    name: str = "from_file"
    neurons: str = "refined"
    apply: str = "per_prompt"

    def __post_init__(self) -> None:
        if self.neurons not in COLUMNS:
            raise unknown("pruning.neurons", self.neurons, tuple(COLUMNS))
        if self.apply not in ("per_prompt", "union"):
            raise unknown("pruning.apply", self.apply, ("per_prompt", "union"))
        file = Path(self.path)
        if file.suffix.lower() in PICKLED:
            raise InputError(
                f"pruning.path {self.path!r} is pickled: it can run code when loaded and is refused; give"
                " .safetensors or the .csv of NeMo's code"
            )
        if not file.is_file():
            raise InputError(f"pruning.path {self.path!r} is no file; give .safetensors or .csv")
        if self._table:
            neuron_lists(file, COLUMNS[self.neurons])
        else:
            masks.load(file)

    @property
    def _table(self) -> bool:
        return Path(self.path).suffix.lower() == ".csv"

    @property
    def per_prompt(self) -> bool:
        return self._table and self.apply == "per_prompt"

    def check(self, diffusion: Diffusion, data: Data) -> None:
        """Raises InputError: see ``select``."""
        self._read(diffusion, data.targets)

    def select(self, diffusion: Diffusion, targets: list[Target], data: Data, keep: Keep) -> Selection:
        """What the file says; nothing is computed.

        Raises:
            InputError: layers, neurons or shapes that the model does not have, or no target's prompt.
        """
        return self._read(diffusion, targets)

    def _read(self, diffusion: Diffusion, targets: list[Target]) -> Selection:
        if not self._table:
            mask = masks.load(Path(self.path))
            masks.check(diffusion.skeleton, mask)
            return Selection([mask])
        layers = diffusion.layers("values", loaded=False)
        listed = {
            caption: neuron_mask(layers, neurons, f"{self.path}, line {line}")
            for caption, (line, neurons) in neuron_lists(Path(self.path), COLUMNS[self.neurons]).items()
        }
        empty = neuron_mask(layers, [[]] * len(layers), self.path)
        prompts = [target.prompt.strip() for target in targets]
        if not any(prompt in listed for prompt in prompts):
            raise InputError(
                f"{self.path} lists {len(listed)} captions, but none is the prompt of a target, e.g."
                f" {prompts[0] if prompts else ''!r}: give the table of these prompts"
            )
        found = [listed.get(prompt, empty) for prompt in prompts]
        facts = {"listed": [t.name for t, prompt in zip(targets, prompts, strict=True) if prompt in listed]}
        return Selection(found if self.per_prompt else [union(*found)], facts=facts)


def neuron_lists(path: Path, column: str) -> dict[str, tuple[int, list[list[int]]]]:
    """Caption -> (line of the file, neurons per layer), of a table of NeMo's code.

    Raises:
        InputError: no such table, a cell that is no list of lists of whole numbers, a caption twice.
    """
    found: dict[str, tuple[int, list[list[int]]]] = {}
    try:
        text = io.StringIO(read_text(path, path.read_bytes()), newline="")
        table = csv.DictReader(text, delimiter=";")
        if missing := {"Caption", column} - set(table.fieldnames or ()):
            raise InputError(
                f"{path} lacks the columns {sorted(missing)} of NeMo's table; has {table.fieldnames}"
            )
        for row in table:
            caption = (row["Caption"] or "").strip()
            if caption in found:
                raise InputError(f"{path}, line {table.line_num}: {caption!r} is there twice; drop one")
            found[caption] = table.line_num, _parsed(row[column], f"{path}, line {table.line_num}")
    except (OSError, csv.Error) as error:
        raise InputError(f"cannot read the table {path}: {error}") from None
    return found


def _parsed(cell: str | None, place: str) -> list[list[int]]:
    try:
        lists = json.loads(cell or "")  # a list of lists of numbers is written alike in JSON
    except (json.JSONDecodeError, RecursionError):
        lists = None
    if not isinstance(lists, list) or not all(
        isinstance(neurons, list) and all(type(neuron) is int for neuron in neurons) for neurons in lists
    ):
        shown = (cell or "")[:60]
        raise InputError(f"{place}: {shown!r} is no list of lists of neurons such as [[1, 2], [], [7]]")
    return lists


def neuron_mask(layers: dict[str, nn.Linear], lists: list[list[int]], place: str) -> Mask:
    """``of_neurons``, where the model has them."""
    if len(lists) != len(layers):
        raise InputError(
            f"{place}: neurons of {len(lists)} layers, but the model has {len(layers)} value layers in its"
            " down blocks and mid block: the table belongs to another model"
        )
    for (name, layer), neurons in zip(layers.items(), lists, strict=True):
        if wrong := [neuron for neuron in neurons if not 0 <= neuron < layer.out_features]:
            raise InputError(
                f"{place}: neuron {wrong[0]} of layer {name}, which has {layer.out_features}: the table"
                " belongs to another model"
            )
    return of_neurons(layers, lists)
