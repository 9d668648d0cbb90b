"""What images are measured with: descriptor, alignment network and feature network of a model.

All three are configuration, so nothing else asks which model it is. Their outputs are stages of
their own: the rows are then a matter of arithmetic.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dori.core.errors import InputError, Problems, check_positive, check_share
from dori.core.files import save_tensors
from dori.core.neutral import neutral
from dori.core.predict import Predictor, gather
from dori.core.ranks import once
from dori.data.targets import Ordinary, Target, tensor
from dori.diffusion.images import is_blank, load
from dori.metrics.sscd_frame import grey
from dori.metrics.sscd_orig import sscd_orig


@neutral("batch", "quality")
@dataclass
class Evaluation:
    """Makers of the networks, and the threshold above which an image counts as replicated.

    Args:
        descriptor: copy detection, images (n, 3, h, w) in [0, 1] to (n, d); has a ``name``.
        alignment: CLIP, with ``image_features(images)`` and ``text_features(texts)``; null, as ``features``,
            where copies alone are looked for.
        features: for FID and KID, images to (n, d).
        threshold: of SSCD, 0.7 in the papers.
        resolution: side in pixels to which all images are brought before they are described.
        batch: images described at once.
        quality: benchmarks of quality by name, see ``dori.steps.measuring.suites``; none by default.
    """

    descriptor: Callable[[], nn.Module]
    alignment: Callable[[], nn.Module] | None
    features: Callable[[], nn.Module] | None
    threshold: float = 0.7
    resolution: int = 512
    batch: int = 64
    quality: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_share("evaluation.threshold", self.threshold)
        check_positive("evaluation.batch", self.batch)
        check_positive("evaluation.resolution", self.resolution)

    def check(self) -> None:
        """Open every file, and read what it says of itself but no weights.

        A network of somebody's own that takes no ``device`` is built whole.

        Raises:
            InputError: files that are missing, broken or other ones; networks that do not fit. All of it.
        """
        wrong = Problems()
        for part in ("descriptor", "alignment", "features"):
            if (maker := getattr(self, part)) is not None:
                headers = {"device": "meta"} if "device" in inspect.signature(maker).parameters else {}
                wrong.none_or(_tried, f"evaluation.{part}", partial(maker, **headers))
        for name, suite in self.quality.items():
            wrong.none_or(_tried, f"evaluation.quality.{name}", suite.check)
        wrong.tell()

    def check_whole(self, copies_alone: bool) -> None:
        """Raises InputError where more than copies is looked for, and there is a descriptor alone."""
        if not copies_alone and (self.alignment is None or self.features is None):
            raise InputError("evaluation=copies measures copies alone, for study=audit: choose another")

    @cached_property
    def networks(self) -> dict[str, Any]:
        """Built at the first use: a run that finds all in its cache reads no weights."""
        makers = {"sscd": self.descriptor, "clip": self.alignment, "quality": self.features}
        made = {name: maker() for name, maker in makers.items() if maker}
        for name, network in made.items():
            if not all(parameter.isfinite().all() for parameter in network.parameters()):
                raise InputError(f"the network {name!r} of the evaluation has weights that are no numbers")
        return {name: network.requires_grad_(False).eval() for name, network in made.items()}

    @torch.no_grad()
    def describe(
        self,
        folder: Path,
        targets: list[Target],
        texts: list[str],
        seeds: int,
        out: Path,
        predictor: Predictor,
    ) -> None:
        """Images of targets, or (no targets) one image of each ordinary caption, to features.

        Each part holds, for some of the n texts: sscd (n, seeds, d), frame (n, seeds, d), the same
        with the changing region greyed; clip (n, seeds, d'), text (n, d'), quality (n, seeds, d'');
        blank (n, seeds).
        """

        def work(chunk: list[int]) -> None:
            images = torch.cat([load(folder, index, seeds) for index in chunk])
            some = [targets[index] for index in chunk] if targets else []
            described = self._describe(images, some, seeds)
            described["blank"] = is_blank(images)
            described = {key: value.unflatten(0, (len(chunk), seeds)) for key, value in described.items()}
            described["text"] = self.networks["clip"].text_features([texts[index] for index in chunk])
            _write(out, chunk[0], described)

        self._run(work, len(texts), seeds, predictor)
        once(lambda: gather(out, "features"))

    @torch.no_grad()
    def replicated(self, images: Tensor, targets: list[Target]) -> Tensor:
        """Whether any of the images (n, each, 3, H, W) of a target is a copy: SSCD_Orig > threshold, (n,)."""
        return self.similarity(images, targets).amax(1) > self.threshold

    @torch.no_grad()
    def similarity(self, images: Tensor, targets: list[Target]) -> Tensor:
        """SSCD_Orig (n, each) of the images (n, each, 3, H, W) of n targets."""
        network, originals = self.networks["sscd"], []
        for target in targets:
            if target.name not in self._families:
                family = tensor([target.pixels(), *target.family], (self.resolution,) * 2)
                self._families[target.name] = network(self._unit(family)).float()
            originals.append(self._families[target.name])
        parts = [network(self._unit(part)).float() for part in images.flatten(0, 1).split(self.batch)]
        return sscd_orig(torch.cat(parts).unflatten(0, images.shape[:2]), originals)

    @cached_property
    def _families(self) -> dict[str, Tensor]:
        """Descriptors of training images that were asked for again and again."""
        return {}

    @torch.no_grad()
    def describe_originals(self, targets: list[Target], out: Path, predictor: Predictor) -> None:
        """The training images: sscd (all members, d) with ``count`` (n,) per target; frame (n, d)."""

        def work(chunk: list[int]) -> None:
            target = targets[chunk[0]]
            images = tensor([target.pixels(), *target.family], (self.resolution,) * 2)
            described = self._describe(images, [target], len(images))
            one = {"sscd": described["sscd"], "count": torch.tensor([len(images)])}
            _write(out, chunk[0], {**one, "frame": described["frame"][:1]})

        self._run(work, len(targets), self.batch, predictor)
        once(lambda: gather(out, "features"))

    @torch.no_grad()
    def describe_reference(
        self, ordinary: Ordinary, out: Path, predictor: Predictor, network: str = "quality"
    ) -> None:
        """The pictures of ordinary captions as a network sees them, by its name (n, d)."""

        def work(chunk: list[int]) -> None:
            images = ordinary.tensor((self.resolution,) * 2, chunk[0], chunk[-1] + 1)
            _write(out, chunk[0], {network: self.networks[network](self._unit(images))})

        self._run(work, len(ordinary.images), 1, predictor)
        once(lambda: gather(out, "features"))

    def _run(
        self, work: Callable[[list[int]], None], count: int, images_each: int, predictor: Predictor
    ) -> None:
        size = max(1, self.batch // images_each)
        chunks = [list(range(i, min(i + size, count))) for i in range(0, count, size)]
        predictor.run(list(self.networks.values()), work, chunks)

    def _unit(self, images: Tensor) -> Tensor:
        """uint8 (n, 3, h, w) to [0, 1], the centred square at the evaluation's resolution, on its device."""
        images = images.to(next(self.networks["sscd"].parameters()).device).float() / 255
        side = min(images.shape[-2:])
        top, left = ((length - side) // 2 for length in images.shape[-2:])
        images = images[..., top : top + side, left : left + side]
        if side != self.resolution:
            images = F.interpolate(images, (self.resolution,) * 2, mode="bicubic", antialias=True).clamp(0, 1)
        return images

    def _describe(self, images: Tensor, targets: list[Target], each: int) -> dict[str, Tensor]:
        """``images``: ``each`` of every target in turn; of captions, where there are no targets."""
        changing = torch.stack([self._changing(target) for target in targets]) if targets else None
        parts = []
        # one prompt may have more images than a batch
        for places in torch.arange(len(images)).split(self.batch):
            unit, networks = self._unit(images[places]), self.networks
            part = {"quality": networks["quality"](unit), "clip": networks["clip"].image_features(unit)}
            if changing is not None:
                part["sscd"] = networks["sscd"](unit)
                part["frame"] = networks["sscd"](grey(unit, changing[places // each].to(unit.device)))
            parts.append(part)
        return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}

    def _changing(self, target: Target) -> Tensor:
        """Boolean (h, w) at the evaluation's resolution; nothing where the target says nothing."""
        changing = np.zeros((1, 1), bool) if target.changing is None else target.changing
        side = min(changing.shape)
        top, left = ((length - side) // 2 for length in changing.shape)  # the square that is looked at
        mask = torch.from_numpy(changing[top : top + side, left : left + side])[None, None].float()
        return F.interpolate(mask, (self.resolution,) * 2, mode="nearest")[0, 0] > 0.5


def _tried(where: str, make: Callable[[], Any]) -> None:
    try:
        make()
    except Exception as error:  # somebody's own class may raise anything
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        raise InputError(f"{where}: {kind}{error}") from error


def _write(out: Path, first: int, parts: dict[str, Tensor]) -> None:
    tensors = {key: value.float().cpu().contiguous() for key, value in parts.items()}
    save_tensors(tensors, out / f"part-{first:05d}.safetensors")
