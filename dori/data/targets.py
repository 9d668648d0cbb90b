"""Targets: the images whose memorization is tested, each with its prompt and its kind."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dori.core.errors import InputError
from dori.core.fingerprints import fingerprint
from dori.data.pictures import digest, read_picture

KINDS = ("verbatim", "template", "seen", "unseen")
MEMORIZED = ("verbatim", "template")
CONTROLS = ("seen", "unseen")


@dataclass(frozen=True, eq=False)
class Target:
    """An image (path, or uint8 H x W x 3) with its prompt and kind.

    Args:
        name: unique among the targets; random numbers derive from it.
        kind: ``verbatim`` or ``template`` (memorized), ``seen`` or ``unseen`` (controls).
        family: the other training images of a template, of which it keeps the frame.
        changing: boolean H x W, the region in which a family's members differ.
        half: ``development`` (settings may be chosen on it) or ``held_out``.
        embedding: (rows, width), in the place of the prompt's own: a trigger that an attack found.
        source: where a person finds it, such as ``targets.csv, line 7``; no result depends on it.
    """

    name: str
    prompt: str
    kind: str
    image: Path | np.ndarray
    family: tuple[np.ndarray, ...] = ()
    changing: np.ndarray | None = None
    half: str = "held_out"
    embedding: Tensor | None = None
    source: str = ""

    def pixels(self) -> np.ndarray:
        """uint8 (H, W, 3), as a viewer shows it."""
        return self.image if isinstance(self.image, np.ndarray) else read_picture(self.image)

    @cached_property
    def identity(self) -> list:
        """All that a result may depend on, JSON-able; of a picture what is seen, not where it lies."""
        digests = [digest(image) for image in (self.image, *self.family)]
        digests.append("" if self.changing is None else digest(self.changing))
        digests.append("" if self.embedding is None else digest(self.embedding.float().cpu().numpy()))
        return [self.name, self.prompt, self.kind, fingerprint(digests)]


@dataclass(frozen=True, eq=False)
class Ordinary:
    """Captions on which quality is measured, with held-out real pictures of them if there are any.

    ``sources``: where a person finds each caption, as of a target; none for captions that were made.
    """

    captions: list[str]
    images: list[Path | np.ndarray] = field(default_factory=list)
    sources: list[str] = field(default_factory=list)

    @cached_property
    def identity(self) -> list:
        """All that a result may depend on, JSON-able."""
        if not self.images:
            return list(self.captions)
        return [[text, digest(image)] for text, image in zip(self.captions, self.images, strict=True)]

    def tensor(self, size: tuple[int, int], start: int, stop: int) -> Tensor:
        """uint8 (n, 3, height, width) of the pictures ``start``..``stop``, of a size (width, height)."""
        named = [Target("", "", "", image) for image in self.images[start:stop]]
        return tensor([target.pixels() for target in named], size)


@dataclass(frozen=True, eq=False)
class Training:
    """Ordinary pairs such as the model was trained on, made when they are asked for.

    ``identity`` says what ``pairs`` gives, without making it.
    """

    pairs: Callable[[], Ordinary]
    count: int
    identity: Any


@dataclass(frozen=True, eq=False)
class Data:
    """What a study is run on; ``captions`` are ordinary ones for methods, apart from ``ordinary``.

    ``training``: what a defense goes on training with, apart from both.
    """

    targets: list[Target]
    ordinary: Ordinary
    captions: list[str] = field(default_factory=list)
    training: Training | None = None

    def of(self, *kinds: str) -> list[Target]:
        """The targets of these kinds, in their order."""
        return [target for target in self.targets if target.kind in kinds]

    @property
    def prompts(self) -> list[tuple[str, str]]:
        """Every text that pictures are drawn of, and where a person finds it."""
        sources = self.ordinary.sources or [""] * len(self.ordinary.captions)
        everyday = zip(self.ordinary.captions, sources, strict=True)
        return [*((target.prompt, target.source) for target in self.targets), *everyday]


class _OfAKind(Protocol):
    @property
    def kind(self) -> str: ...


Each = TypeVar("Each", bound=_OfAKind)


def check_count(count: int | str) -> None:
    """Raises InputError for what ``data.targets`` cannot be."""
    if count != "all" and not (isinstance(count, int) and count >= 1):
        raise InputError(f"data.targets must be 1 or more, or all, but is {count!r}")


def first_of_each(items: Sequence[Each], count: int | str) -> list[Each]:
    """At most ``count`` of each kind, or ``all``, kind by kind."""
    limit = len(items) if count == "all" else int(count)
    return [item for kind in KINDS for item in [item for item in items if item.kind == kind][:limit]]


def embedded(targets: list[Target], encode: Callable[[list[str]], Tensor]) -> Tensor:
    """Of each target its prompt's embedding, or the one in its place: (n, rows, width)."""
    y = encode([target.prompt for target in targets])
    for i, target in enumerate(targets):
        if target.embedding is not None:
            y[i] = target.embedding.to(y)
    return y


def tensor(images: list[np.ndarray], size: tuple[int, int]) -> Tensor:
    """uint8 (n, 3, height, width) of a ``size`` (width, height): of each image the largest centred part of
    that shape, resized."""
    out, (width, height) = [], size
    for image in images:
        x = torch.from_numpy(np.array(image)).permute(2, 0, 1)
        scale = min(x.shape[1] / height, x.shape[2] / width)
        rows, columns = round(height * scale), round(width * scale)
        top, left = (x.shape[1] - rows) // 2, (x.shape[2] - columns) // 2
        x = x[:, top : top + rows, left : left + columns]
        if (rows, columns) != (height, width):
            scaled = F.interpolate(x[None].float(), (height, width), mode="bicubic", antialias=True)
            x = scaled[0].round().clamp(0, 255).byte()
        out.append(x)
    return torch.stack(out)
