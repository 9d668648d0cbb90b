from dori.pruning.masks import Mask, pruned
from dori.pruning.nemo import NeMo
from dori.pruning.selection import Method
from dori.pruning.wanda import Wanda

__all__ = ["Mask", "Method", "NeMo", "Wanda", "pruned"]
