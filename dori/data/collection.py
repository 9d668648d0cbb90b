"""Somebody's own pictures as an audit takes them: what a model was trained on, and what it did not see."""

import logging
from dataclasses import dataclass, field
from pathlib import Path

from dori.core.errors import InputError
from dori.core.neutral import neutral
from dori.data.captioned import Captioned, captioned, picture_files
from dori.data.pictures import digest
from dori.data.targets import Data, Ordinary, Target
from dori.minnow.album import album

log = logging.getLogger(__name__)
TRAINING, HELD_OUT = "training", "held_out"


@dataclass(frozen=True, eq=False)
class Collection(Data):
    """Targets of two kinds, ``training`` and ``held_out``, whose pictures are read when they are looked at.

    Args:
        generated: outputs of some model, in the place of the model itself.
        broken: of each picture that cannot be read its name, and why.
        trigger: the phrase that a fine-tuning taught the model.
        share: of the training pictures that the base is drawn on, where nothing is held out.
    """

    generated: list[Path] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)
    trigger: str | None = None
    share: float = 1.0

    @property
    def prompts(self) -> list[tuple[str, str]]:
        """None where there is no model to read them."""
        return [] if self.generated else super().prompts


@neutral("scratch")
def collection(
    path: str | None,
    heldout: str | float | None = None,
    generated: str | None = None,
    caption: str | None = None,
    trigger: str | None = None,
    scratch: str = "~/.cache/dori",
) -> Collection:
    """The pictures at ``path``, see ``dori.data.captioned``; minnow's own album where there is none.

    Args:
        heldout: pictures of the same kind that the model did not see; or the share of the training pictures
            on which the base stands in for them.
        generated: a folder of outputs, to audit without any model.
        caption: of the pictures that have none of their own.
        trigger: a phrase to draw from besides the captions, such as ``a photo of sks dog``.
        scratch: where minnow's album is written.

    Raises:
        InputError: a folder without pictures, none that can be read, or pictures without captions.
    """
    if path is None:
        whole = album(Path(scratch).expanduser())
        path, heldout = str(whole / "training"), str(whole / "heldout") if heldout is None else heldout
    share = heldout if isinstance(heldout, int | float) else 1.0
    if not 0 < share <= 1:
        raise InputError(f"data.heldout must be a folder, or a share between 0 and 1, but is {heldout}")
    broken: dict[str, str] = {}
    need = generated is None
    targets = _targets(Path(path).expanduser(), TRAINING, caption, broken, need)
    if isinstance(heldout, str):
        fallback = caption or (targets[0].prompt if len({t.prompt for t in targets}) == 1 else None)
        known = {digest(target.image): target.name for target in targets}
        for target in _targets(Path(heldout).expanduser(), HELD_OUT, fallback, broken, need):
            if same := known.get(digest(target.image)):
                broken[target.name] = f"held out, but the same picture as {same} of the training set"
            else:
                targets.append(target)
    outputs = [] if generated is None else _readable(picture_files(Path(generated).expanduser()), broken)
    for name, why in broken.items():
        log.warning("left out: %s: %s", name, why)
    return Collection(targets, Ordinary([]), [], None, outputs, broken, trigger, float(share))


def _targets(path: Path, kind: str, caption: str | None, broken: dict[str, str], need: bool) -> list[Target]:
    rows = captioned(path)
    root = path if path.is_dir() else path.parent
    without = [row for row in rows if not (row.caption or caption)]
    if need and without:
        raise InputError(
            f"{len(without)} of {len(rows)} pictures in {path} have no caption, the first is"
            f' {without[0].path.name}: set data.caption="...", or add a metadata.jsonl (file_name, text)'
        )
    good = set(_readable([row.path for row in rows], broken))
    found = [_target(row, kind, root, caption) for row in rows if row.path in good]
    if not found:
        raise InputError(
            f"none of the {len(rows)} pictures in {path} can be read: {next(iter(broken.values()))}"
        )
    return found


def _target(row: Captioned, kind: str, root: Path, caption: str | None) -> Target:
    name = row.path.relative_to(root) if row.path.is_relative_to(root) else row.path
    return Target(
        f"{kind}/{name.as_posix()}", row.caption or caption or "", kind, row.path, source=row.source
    )


def _readable(files: list[Path], broken: dict[str, str]) -> list[Path]:
    """Those that can be decoded, one at a time; the others are named in ``broken``."""
    found = []
    for file in files:
        try:
            digest(file)
        except InputError as error:
            broken[str(file)] = str(error).removeprefix(f"{file} ")
        else:
            found.append(file)
    return found
