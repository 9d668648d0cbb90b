"""What a model is asked for: targets, controls, ordinary captions."""

from dori.data.collection import collection
from dori.data.folder import folder
from dori.data.listing import Listing
from dori.data.minnow import minnow
from dori.data.published import published
from dori.data.targets import CONTROLS, KINDS, MEMORIZED, Data, Ordinary, Target, Training

__all__ = [
    "CONTROLS",
    "KINDS",
    "MEMORIZED",
    "Data",
    "Listing",
    "Ordinary",
    "Target",
    "Training",
    "collection",
    "folder",
    "minnow",
    "published",
]
