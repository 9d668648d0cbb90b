"""What settings, kinds and metrics are called when people read them."""

from collections.abc import Iterable

KINDS = {
    "verbatim": "Memorized, verbatim",
    "template": "Memorized, template",
    "seen": "Control: seen, not memorized",
    "unseen": "Control: never seen",
    "ordinary": "Ordinary captions",
}

KINDS_SHORT = {
    "verbatim": "memorized",
    "template": "memorized family",
    "seen": "control, trained on",
    "unseen": "control, never seen",
    "ordinary": "everyday captions",
}

KINDS_EXPLAINED = {
    "verbatim": "training pictures that the model draws again, almost unchanged, from their caption",
    "template": "families of training pictures with one frame and a changing part: the model keeps "
    "the frame; SSCD_Frame compares the frame alone",
    "seen": "pictures that were trained on as often as any other, and are not memorized",
    "unseen": "pictures of the same sort that the model was never trained on",
    "ordinary": "everyday captions, on which the quality of the pictures is measured",
}

SUITE = "quality/"  # before the name of a suite of ``evaluation.quality``, of which a row is

SUITE_METRICS_EXPLAINED = {
    "CLIP_FID": "FID of CLIP's embeddings in the place of Inception's features",
    "HPSv3": "how much people would prefer a picture of its prompt, as a network sees it; mean over pictures",
    "Color": "T2I-CompBench++: how sure BLIP is of each thing that the prompt names, with its colour: the "
    "product over these, mean over a prompt's pictures and then over prompts",
    "CMMD": "1000 times the squared maximum mean discrepancy of CLIP's embeddings, over all pairs",
}

ANSWERS_EXPLAINED = {
    "yes": "the whole 95 % interval of the difference lies above zero",
    "no, by less than": "the whole interval lies below that margin, which the configuration fixes "
    "(margins.rate): whatever is there is less",
    "undecided": "neither: that nothing was seen is no sign that nothing is there. Each interval and "
    "test with its source, what they really cover and how many targets they take: docs/statistics.md",
}

METRICS_EXPLAINED = {
    "SSCD_Orig": "similarity (cosine of copy-detection descriptors, 1 = copy) of a generated picture "
    "to the training picture: the highest over the seeds of a prompt, then the median over prompts "
    "± the median absolute deviation",
    "MR": "memorization rate: share of prompts of which at least one seed exceeds SSCD 0.7, with its "
    "95 % Clopper–Pearson interval",
    "one image": "MR at one image per prompt (MR_one): the mean over prompts of the share of their images "
    "that are copies; the maximum over more images grows with their number",
    "MR_difference": "MR minus that before the attack, or, where nothing attacks, minus the original "
    "model's: on the same prompts and as many images, with Newcombe's interval",
    "MR_over_twin": "MR under attack minus that of the same attack on the twin, on the same prompts",
    "Score": "the pruning method's own memorization score of a prompt, median ± median absolute deviation",
    "Score_threshold": "above it the method takes a prompt for memorized",
    "Score_AUC": "how well that score tells memorized prompts from ordinary captions; 0.5 is chance",
    "Unpruned": "share of prompts that are not above the threshold, for which nothing is pruned",
    "SSCD_Frame": "SSCD_Orig with the changing part greyed out in both pictures",
    "Displacement": "how far the attack moved the text embedding, relative to the embedding's own "
    "norm; 1 means by as much as it is long",
    "Displacement_sequence": "the same of the text's sequence alone, where a pooled vector is beside it",
    "Displacement_pooled": "the same of the pooled vector alone",
    "FID": "distance of the generated pictures' features to those of real pictures of the same captions, "
    "biased upwards at small n: compare only at equal n; its floor is what two equal models would show",
    "KID": "the same, unbiased, so that its floor is 0; it may fall below it",
    "KID_difference": "KID minus the original model's on the same captions, with its interval: above "
    "zero means worse pictures",
    "FID_ratio": "FID as a multiple of the original model's on the same captions, with its interval",
    "A_CLIP": "agreement of picture and caption (cosine of CLIP embeddings)",
}


EMBEDDING = "an embedding that {} optimised towards the training picture"
GIVEN = {
    "hard_prompt": "words that a gradient picked to bring the training picture back",
    "initial_noise": "the caption, and initial noise that was optimised towards the training picture",
    "random_search": "an embedding that random search found closer to the training picture",
    "paraphrase": "the caption with words swapped or dropped by rule",
}


def rank(order: dict[str, str], name: str) -> tuple[int, str]:
    """A sort key: the place of ``name`` in ``order``; unknown names come last, by alphabet."""
    return (list(order).index(name) if name in order else len(order), name)


def kind_title(kind: str) -> str:
    """A kind as tables call it.

    >>> kind_title("quality/coco")
    'Quality: coco'
    """
    return f"Quality: {kind.removeprefix(SUITE)}" if kind.startswith(SUITE) else KINDS.get(kind, kind)


def setting_meaning(setting: str) -> str:
    """``wanda+dori`` → ``mitigated, attacked``: a setting in words."""
    found, _, drawn = setting.partition(">")
    if drawn:
        return f"triggers of {found.partition('+')[0]}, drawn by {drawn}"
    base, _, attack = setting.partition("+")
    meaning = {
        "original": "untouched model",
        "twin": "clean twin",
        "random": "random baseline",
    }.get(base, "mitigated")
    return f"{meaning}, attacked" if attack else meaning


def setting_rank(setting: str) -> tuple[int, str]:
    """Original first, then the baseline, mitigations with their attacks, and the twin."""
    base = setting.partition("+")[0]
    return ({"original": 0, "random": 1, "twin": 3}.get(base, 2), setting)


def settings_explained(settings: Iterable[str]) -> dict[str, str]:
    """What each setting that occurs is, in the order in which they are read."""
    found = {}
    for setting in sorted(dict.fromkeys(settings), key=setting_rank):
        base, _, attack = setting.partition("+")
        attack, _, drawn = attack.partition(">")
        meaning = {
            "original": "the model as it came, given the caption",
            "random": "as many weights as the mitigation cuts, in the same layers, cut at random",
            "twin": "the same model trained without the memorized pictures, given the caption: it cannot "
            "recall them",
        }.get(base, f"the model after {base}, given the caption")
        if attack:
            meaning = f"{base}, given {GIVEN.get(attack, EMBEDDING.format(attack))}"
        if drawn:
            meaning = f"{drawn}, given what {attack} found on {base}"
        found[setting] = meaning
    return found
