"""Where the networks that measure are published, and what their files hash to.

The networks themselves do not know it: what they give depends on the files alone.
"""

from omegaconf import DictConfig

from dori.core.config import nodes
from dori.core.errors import Problems
from dori.core.fetching import Source, fetch
from dori.core.folders import weights_folder
from dori.core.judge import SSCD

INCEPTION = "weights-inception-2015-12-05-6726825d.pth"
CLIP = "clip-vit-base-patch32"
# OpenAI's weights as safetensors, which the hub made of them in the pull request 15 of that repository
_HUB = f"https://huggingface.co/openai/{CLIP}/resolve/b33cedfd0df4e43b8238760678fcc89e1a0d38b3"

# the authors of SSCD publish no hash: rows and report tell the one that was found
FILES = {
    SSCD: Source(f"https://dl.fbaipublicfiles.com/sscd-copy-detection/{SSCD}", None),
    INCEPTION: Source(
        f"https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/{INCEPTION}",
        "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    ),
    **{
        f"{CLIP}/{name}": Source(f"{_HUB}/{name}", sha256)
        for name, sha256 in {
            "config.json": "b575ef3c36f2a057fa19e221650105052d61cc9c1a972ec15019c6261ec98770",
            "preprocessor_config.json": "910e70b3956ac9879ebc90b22fb3bc8a75b6a0677814500101a4c072bd7857bd",
            "tokenizer.json": "b556ac8c99757ffb677208af34bc8c6721572114111a6e0aaf5fa69ff0b8d842",
            "model.safetensors": "99d28a652e6ec46629ab7047a0ac82c69b1fe11e0ce672c43af65d3a9a3fc05d",
        }.items()
    },
}


def fetch_published(cfg: DictConfig) -> bool:
    """Fetch what ``path``s in a configuration name in the folder of weights, and is not there yet.

    Raises:
        InputError: what cannot be fetched; all of it.
    """
    folder, wrong = weights_folder(), Problems()
    for _, node in nodes(cfg):
        wanted = {
            folder / name: source for name, source in FILES.items()
            if node.get("path") in (str(folder / name), str(folder / name.partition("/")[0]))
        }  # fmt: skip
        wrong.none_or(fetch, wanted)
    wrong.tell()
    return True
