"""The things that a prompt names, each a question for BLIP-VQA; by spaCy, of the extra ``quality``."""

from importlib.util import find_spec

from dori.core.errors import InputError

MOST = 8  # of a prompt, as in T2I-CompBench's code


def check_spacy(pipeline: str) -> None:
    """Raises InputError where spaCy, or its pipeline of that name, is not installed."""
    if find_spec("spacy") is None or find_spec(pipeline) is None:
        raise InputError(
            f"noun chunks need spaCy and its pipeline {pipeline}: pip install 'dori[quality]', then python -m"
            f" spacy download {pipeline}"
        )


def noun_chunks(prompts: list[str], pipeline: str) -> list[list[str]]:
    """Of each prompt its noun chunks in their order, ``a red book`` and ``a yellow vase``; at most eight.

    Raises:
        InputError: see ``check_spacy``.
    """
    check_spacy(pipeline)
    import spacy

    return [[chunk.text for chunk in doc.noun_chunks][:MOST] for doc in spacy.load(pipeline).pipe(prompts)]
