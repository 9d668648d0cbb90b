from dori.pruning.from_file import FromFile
from dori.pruning.magnitude import Magnitude
from dori.pruning.masks import Mask, pruned
from dori.pruning.nemo import NeMo
from dori.pruning.random import Random
from dori.pruning.saliency import Saliency
from dori.pruning.selection import Method
from dori.pruning.wanda import Wanda

__all__ = [
    "FromFile", "Magnitude", "Mask", "Method", "NeMo", "Random", "Saliency", "Wanda", "pruned",
]  # fmt: skip
