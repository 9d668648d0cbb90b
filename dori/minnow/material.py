"""What the recipe's parts learn from: pictures, captions, latents and text embeddings, made once and kept."""

import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer

from dori.core.files import save_tensors, write_atomically
from dori.minnow import autoencoder, clip, tokenizer, unet
from dori.minnow.descriptor import Descriptor
from dori.minnow.machine import CPU, Machine
from dori.minnow.unet import Encoded
from dori.minnow.world import population
from dori.minnow.world.names import NAMES


class Material:
    """The recipe's groups of pictures in all their forms; files lie in ``work``."""

    def __init__(self, cfg: dict, work: Path, machine: Machine = CPU):
        self.cfg, self.work, self.machine, self.seed = cfg, work, machine, cfg["seed"]
        counts = cfg["population"]
        self.counts = {**counts, "template": counts["families"] * population.MEMBERS}
        work.mkdir(parents=True, exist_ok=True)

    def pictures(self, group: str) -> Tensor:
        """uint8 (n, 64, 64, 3), drawn once and kept."""
        path = self.work / f"{group}-{self.counts[group]}.npy"
        if not path.exists():
            found = population.pixels(population.pictures(group, self.counts[group]), self.machine.device)
            np.save(path.with_suffix(".tmp.npy"), found.numpy())
            path.with_suffix(".tmp.npy").rename(path)
        return torch.from_numpy(np.load(path, mmap_mode="c"))

    @cached_property
    def ordinary(self) -> Tensor:
        """The ordinary pictures, uint8 (n, 3, h, w)."""
        return self.pictures("ordinary")

    def captions(self, group: str) -> list[str]:
        """The captions of a group, made once."""
        path = self.work / f"{group}-{self.counts[group]}.txt"
        if not path.exists():
            found = [picture.caption for picture in population.pictures(group, self.counts[group])]
            write_atomically(path, "\n".join(found))
        return path.read_text().split("\n")

    def tokenizer(self) -> CLIPTokenizer:
        """A tokenizer of all words that occur."""
        words = {word for caption in self.captions("ordinary") for word in re.findall(r"[a-z]+|:", caption)}
        return tokenizer.build([*words, *NAMES], self.cfg["tokens"])

    def code(self) -> tuple[Tensor, Tensor]:
        """The linear code of patches that the latents are: matrix and mean, found once and kept.

        Another machine may turn axes of almost the same spread, and no decoder of this one would fit them.
        """
        path, own = self.work / "code.safetensors", self.cfg["autoencoder"]
        if not path.exists():
            found = autoencoder.code(self.ordinary[:1024], own["latent_channels"], power=own["power"])
            save_tensors({"matrix": found[0].contiguous(), "mean": found[1]}, path)
        kept = load_file(path)
        return kept["matrix"], kept["mean"]

    def latents(self, pixels: Tensor) -> Tensor:
        """What the encoder is trained to give; every other training uses it."""
        matrix, mean = self.code()
        parts = [autoencoder.coded(autoencoder.to_unit(part), matrix, mean) for part in pixels.split(256)]
        return torch.cat(parts)

    @cached_property
    def decode(self) -> Callable[[Tensor], Tensor]:
        """The trained decoder: latents to images (n, 3, 64, 64) in [-1, 1]."""
        model = AutoencoderKL.from_pretrained(self.work / "vae-decoder")
        return lambda z: torch.cat([model.decode(part).sample for part in z.split(64)])

    def encoded(self, *groups: str) -> Encoded:
        """Latents and embeddings of groups of pictures."""
        captions = [caption for group in groups for caption in self.captions(group)]
        pixels = torch.cat([self.pictures(group) for group in groups])
        return self._encoded(self.latents(pixels), captions)

    def empty_text(self) -> Tensor:
        """The embedding of the empty prompt, (1, tokens, width)."""
        return self._encoded(torch.zeros(1), [""]).texts

    def _encoded(self, latents: Tensor, captions: list[str]) -> Encoded:
        words = CLIPTokenizer.from_pretrained(self.work / "tokenizer")
        towers = CLIPModel.from_pretrained(self.work / "clip-model")
        return unet.encode(clip.text_encoder(towers), latents, clip.tokenize(words, captions))

    def taught_student(self) -> Descriptor:
        """The descriptor's student as its teacher left it."""
        return Descriptor(
            self.cfg["student"]["width"],
            self.cfg["student"]["dim"],
            str(self.work / "descriptor.safetensors"),
        )
