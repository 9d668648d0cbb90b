"""Defenses: trainings against memorization, guards of the sampler, and somebody's own weights."""

from dori.defenses.training.finetuning import Finetuning
from dori.defenses.training.surrogates import Surrogates
from dori.defenses.training.validation import Validation
from dori.defenses.weights import Weights

__all__ = ["Finetuning", "Surrogates", "Validation", "Weights"]
