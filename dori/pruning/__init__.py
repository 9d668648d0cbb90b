from dori.pruning.masks import Mask, pruned
from dori.pruning.wanda import Wanda

__all__ = ["Mask", "Wanda", "pruned"]
