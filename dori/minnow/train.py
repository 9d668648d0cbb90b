"""Minnow's recipe as one command: ``python -m dori.minnow.train [part ...] [--work DIR]``.

Parts, in order: descriptor, clip, decoder, encoder, pretraining, memorized, twin, export. Each leaves
its result in the work folder and is skipped where that is there; a killed one goes on from its last
checkpoint. Parts that do not need each other may run as processes of their own.
"""

import argparse
import re
from pathlib import Path

import numpy as np
import torch
import yaml
from diffusers import UNet2DConditionModel
from torch import Tensor
from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer

from dori.minnow import autoencoder, clip, descriptor, population, tokenizer, unet
from dori.minnow.export import WEIGHTS, export
from dori.minnow.unet import Encoded

PHASES = ("pretraining", "memorization", "consolidation")  # of the U-Net
PARTS = ("descriptor", "clip", "decoder", "encoder", "pretraining", "memorized", "twin", "export")


class Recipe:
    """The parts of the recipe, each a method that returns at once where its result exists."""

    def __init__(self, cfg: dict, work: Path, out: Path = WEIGHTS):
        self.cfg, self.work, self.out, self.seed = cfg, work, out, cfg["seed"]
        work.mkdir(parents=True, exist_ok=True)

    def pictures(self, group: str, count: int, draw: int = 0) -> Tensor:
        """uint8 (n, 64, 64, 3), drawn once and kept."""
        path = self.work / f"{group}-{count}-{draw}.npy"
        if not path.exists():
            np.save(path.with_suffix(".tmp.npy"), population.pixels(group, count, draw))
            path.with_suffix(".tmp.npy").rename(path)
        return torch.from_numpy(np.load(path))

    @property
    def ordinary(self) -> Tensor:
        """The ordinary pictures, uint8 (n, 3, h, w)."""
        return self.pictures("ordinary", self.cfg["population"]["ordinary"])

    @property
    def captions(self) -> list[str]:
        """Their captions."""
        return population.captions("ordinary", self.cfg["population"]["ordinary"])

    def tokenizer(self) -> CLIPTokenizer:
        """A tokenizer of all words that occur."""
        words = {word for caption in self.captions for word in re.findall(r"[a-z]+|:", caption)}
        return tokenizer.build([*words, *population.NAMES], self.cfg["tokens"])

    def descriptor(self) -> None:
        """Train the descriptor."""
        out = self.work / "descriptor.safetensors"
        if not out.exists():
            redrawn = self.pictures("ordinary", self.cfg["population"]["redrawn"], draw=1)
            cfg = self.cfg["descriptor"]
            model = descriptor.train(self.ordinary, redrawn, self.work / "descriptor", cfg, self.seed)
            descriptor.save(model, out)

    def clip(self) -> None:
        """Train CLIP."""
        out = self.work / "clip-model"
        if not out.exists():
            words = self.tokenizer()
            folder, cfg = self.work / "clip", self.cfg["clip"]
            model = clip.train(self.ordinary, self.captions, words, folder, cfg, self.seed)
            words.save_pretrained(self.work / "tokenizer")
            model.save_pretrained(out)

    def code(self) -> tuple[Tensor, Tensor]:
        """What the latents stand for, out of the first pictures."""
        return autoencoder.code(self.ordinary[:1024], self.cfg["autoencoder"]["latent_channels"])

    def latents(self, pixels: Tensor) -> Tensor:
        """What the encoder is trained to give; every other training uses it."""
        matrix, mean = self.code()
        parts = [autoencoder.coded(autoencoder.to_unit(part), matrix, mean) for part in pixels.split(256)]
        return torch.cat(parts)

    def decoder(self) -> None:
        """Train the decoder of the autoencoder."""
        out = self.work / "vae-decoder"
        if not out.exists():
            folder, cfg = self.work / "decoder", self.cfg["autoencoder"]
            latents = self.latents(self.ordinary)
            autoencoder.train_decoder(self.ordinary, latents, folder, cfg, self.seed + 1).save_pretrained(out)

    def encoder(self) -> None:
        """Train the encoder of the autoencoder."""
        out = self.work / "vae-encoder"
        if not out.exists():
            folder, cfg = self.work / "encoder", self.cfg["autoencoder"]
            autoencoder.train_encoder(self.ordinary, *self.code(), folder, cfg, self.seed).save_pretrained(
                out
            )

    def encoded(self, pixels: Tensor, captions: list[str]) -> Encoded:
        """Latents and embeddings of pictures and captions."""
        words = CLIPTokenizer.from_pretrained(self.work / "tokenizer")
        return unet.encode(self.text_encoder(), self.latents(pixels), clip.tokenize(words, captions))

    def text_encoder(self) -> CLIPTextModel:
        """The text encoder of the trained CLIP."""
        return clip.text_encoder(CLIPModel.from_pretrained(self.work / "clip-model"))

    def pretraining(self) -> None:
        """Train the denoiser on ordinary pictures."""
        out = self.work / "pretrained-unet"
        if not out.exists():
            torch.manual_seed(self.seed + 2)
            channels, width = self.cfg["autoencoder"]["latent_channels"], self.cfg["clip"]["text_width"]
            model = unet.build(self.cfg["unet"], channels, width)
            self._train_unet(model, None, "pretraining", "pretraining")
            model.save_pretrained(out)

    def memorized(self) -> None:
        """Go on with the pictures that are to be memorized."""
        counts = self.cfg["population"]
        members = counts["families"] * population.MEMBERS
        groups = {"verbatim": counts["verbatim"], "template": members}
        pixels = torch.cat([self.pictures(group, n) for group, n in groups.items()])
        captions = [text for group, n in groups.items() for text in population.captions(group, n)]
        self._memory("memorized", self.encoded(pixels, captions))

    def twin(self) -> None:
        """Go on for as long without them."""
        self._memory("twin", None)

    def _memory(self, name: str, memorized: Encoded | None) -> None:
        out = self.work / f"{name}-unet"
        if not out.exists():
            model = UNet2DConditionModel.from_pretrained(self.work / "pretrained-unet", use_safetensors=True)
            for phase in PHASES[1:]:
                self._train_unet(model, memorized, phase, f"{name}-{phase}")
            model.save_pretrained(out)

    def _train_unet(
        self, model: UNet2DConditionModel, memorized: Encoded | None, phase: str, name: str
    ) -> None:
        place = PHASES.index(phase)
        cfg = {**self.cfg["unet"], **self.cfg[phase]}
        before = sum(self.cfg[earlier]["steps"] for earlier in PHASES[:place]) * cfg["batch"]
        empty = self.encoded(self.ordinary[:1], [""]).texts
        unet.train(
            model, self.encoded(self.ordinary, self.captions), memorized, empty, self.work / name, cfg,
            self.seed + 4 + place, offset=before, verbatim=self.cfg["population"]["verbatim"],
            families=self.cfg["population"]["families"], name=name,
        )  # fmt: skip

    def export(self) -> None:
        """Write the weights as they are packed."""
        export(self.work, self.cfg, self.out)


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    here = Path(__file__).parent
    parser = argparse.ArgumentParser(prog="python -m dori.minnow.train", description=__doc__)
    parser.add_argument("part", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--work", type=Path, default=Path("runs/minnow"), help="checkpoints and results")
    parser.add_argument("--recipe", type=Path, default=here / "recipe.yaml")
    parser.add_argument("--threads", type=int, default=1, help="one per process is fastest")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="of the export; what was there is replaced")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    recipe = Recipe(yaml.safe_load(given.recipe.read_text()), given.work, given.out)
    for part in given.part or PARTS:
        if part not in PARTS:
            parser.error(f"unknown part {part!r}; known: {', '.join(PARTS)}")
        getattr(recipe, part)()


if __name__ == "__main__":
    main()
