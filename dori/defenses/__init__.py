"""Defenses: trainings against memorization, and guards of the sampler."""

from dori.defenses.training.finetuning import Finetuning
from dori.defenses.training.surrogates import Surrogates
from dori.defenses.training.validation import Validation

__all__ = ["Finetuning", "Surrogates", "Validation"]
