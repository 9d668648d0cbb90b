from dori.defenses.finetuning import Finetuning
from dori.defenses.surrogates import Surrogates
from dori.defenses.validation import Validation

__all__ = ["Finetuning", "Surrogates", "Validation"]
