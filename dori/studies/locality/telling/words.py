"""What the locality study calls its pairs and masks, and the words beside its figures."""

ONE, DIFFERENT = "one image", "different images"
BESIDE = ("memorized prompts", "ordinary prompts", "random embeddings")
OWN_START = "trigger and its start"
GROUPS = (ONE, DIFFERENT, *BESIDE, OWN_START)
OWN, OTHERS, USUAL, CHANCE = "own triggers", "other images' triggers", "ordinary prompts", "random weights"
TITLES = {
    "embeddings": "Locality in the embedding space",
    "activations": "Locality of activations",
    "weights": "Locality of the selected weights",
    "cuts": "Pruned by some triggers, tried with the others",
}
CAPTIONS = {
    "embeddings": "Top: triggers (filled) and the starts of their search (hollow), one colour and marker per "
    "image; PCA keeps distances as they are, t-SNE may invent clusters. Bottom: distances of pairs, and the "
    "share of images that come on the straight line from one trigger to another. Bars are 95 % intervals "
    "over images.",
    "activations": "Mean distance of the activations at fixed noise, layer by layer, in units of the layer's "
    "own size (root mean square norm on ordinary prompts). Bands are 95 % intervals over images.",
    "weights": "Top: overlap of what a method selects for each pair; the upright bars are what chance gives "
    "at equal counts. Bottom: four criteria on the same layers at equal count: overlap for the same image, "
    "in brackets by chance.",
    "cuts": "Share of an image's triggers that still bring it back after pruning, with the mask of k of its "
    "triggers, for the triggers beyond those k; dotted: for the k themselves. Masks have equal counts. Bands "
    "are 95 % intervals over images.",
}
WORDS = {
    "L2": "Euclidean distance of whole embeddings; mean over pairs, every image counts once",
    "Cosine": "1 minus the cosine of whole embeddings",
    "Token_L2": "Euclidean distance token by token, mean over tokens",
    "Relative_L2": "Euclidean distance of a layer's activations at fixed noise, by the layer's own size on "
    "ordinary prompts; mean over layers",
    "ratio": "pairs of one image by pairs of different images: 1 where an image's triggers are no more alike "
    "than any",
    "IoU": "intersection over union of what is selected, without the pairs where both select nothing",
    "IoU_with_empty": "the same, with such pairs as 1, as in the paper",
    "IoU_chance": "expected exactly for sets of those sizes, layer by layer",
    "Empty": "share of pairs of which both select nothing",
    "Left": "share of an image's triggers, beyond the k that were pruned by, that still replicate; mean over "
    "images",
    "Used": "the same of the k triggers that were pruned by",
}
