"""Pruning methods: which weights are set to zero."""

from dori.pruning.baselines.magnitude import Magnitude
from dori.pruning.baselines.random import Random
from dori.pruning.baselines.saliency import Saliency
from dori.pruning.from_file import FromFile
from dori.pruning.masks import Mask, pruned
from dori.pruning.nemo.nemo import NeMo
from dori.pruning.selection import Method
from dori.pruning.wanda import Wanda

__all__ = [
    "FromFile", "Magnitude", "Mask", "Method", "NeMo", "Random", "Saliency", "Wanda", "pruned",
]  # fmt: skip
