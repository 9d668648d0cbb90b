"""The new minnow's recipe as one command: ``python -m dori.minnow.scenes.train [part ...] [--work DIR]``.

Parts, in order: code, decoder, encoder, clip, lesson, student, pretraining, memorized, twin, export. Each
leaves its result in the work folder and is skipped where that is there; a killed one goes on from its last
checkpoint. Parts that do not need each other may run as processes of their own.
"""

import argparse
import time
from pathlib import Path

import torch
import yaml
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from dori.core.files import replace_file
from dori.metrics.networks.sscd_int8 import SSCDInt8
from dori.minnow import autoencoder, clip, descriptor, unet
from dori.minnow.machine import Machine, TimeUp
from dori.minnow.scenes import population, student
from dori.minnow.scenes.export import export
from dori.minnow.scenes.material import Material
from dori.minnow.unet import Encoded

RECIPE = Path(__file__).with_name("recipe.yaml")
PHASES = ("pretraining", "memorization", "consolidation")  # of the U-Net
PARTS = (
    "code", "decoder", "encoder", "clip", "lesson", "student", "pretraining", "memorized", "twin", "export",
)  # fmt: skip


class Recipe(Material):
    """The parts of the recipe, each a method that returns at once where its result exists."""

    def decoder(self) -> None:
        """Train the decoder of the autoencoder."""
        out, own = self.work / "vae-decoder", self.cfg["autoencoder"]
        if not out.exists():
            looks = self.taught_student() if own["decoder"]["perceptual"] else None
            model = autoencoder.train_decoder(
                self.ordinary, self.latents(self.ordinary), self.work / "decoder", own, self.seed + 1,
                self.machine, looks,
            )  # fmt: skip
            model.save_pretrained(out)

    def encoder(self) -> None:
        """Train the encoder of the autoencoder."""
        out, own = self.work / "vae-encoder", self.cfg["autoencoder"]
        if not out.exists():
            model = autoencoder.train_encoder(
                self.ordinary, *self.code(), self.work / "encoder", own, self.seed, self.machine
            )
            model.save_pretrained(out)

    def clip(self) -> None:
        """Train CLIP."""
        out = self.work / "clip-model"
        if not out.exists():
            words, folder = self.tokenizer(), self.work / "clip"
            model = clip.train(
                self.ordinary, self.captions("ordinary"), words, folder, self.cfg["clip"], self.seed,
                self.machine,
            )  # fmt: skip
            words.save_pretrained(self.work / "tokenizer")
            model.save_pretrained(out)

    def lesson(self) -> None:
        """What the student learns by; needs the real SSCD (``dori[sscd]``), whose vectors are kept."""
        out = self.work / "lesson.safetensors"
        if not out.exists():
            pixels = student.lesson("ordinary", self.cfg["student"]["origins"], self.code())
            teacher = SSCDInt8(self.cfg["student"]["sscd"], self.cfg["student"]["size"])
            taught = {"pixels": pixels, "vectors": student.described(teacher, pixels).half()}
            replace_file(out, lambda tmp: save_file(taught, tmp))

    def student(self) -> None:
        """Train the descriptor."""
        out = self.work / "descriptor.safetensors"
        if not out.exists():
            taught, folder = load_file(self.work / "lesson.safetensors"), self.work / "student"
            model = student.train(
                taught["pixels"], taught["vectors"], folder, self.cfg["student"], self.seed, self.machine
            )
            replace_file(out, lambda tmp: descriptor.save(model, tmp))

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
        self._memory("memorized", self.encoded("verbatim", "template"))

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
        place, counts = PHASES.index(phase), self.cfg["population"]
        cfg = {**self.cfg["unet"], **self.cfg[phase]}
        before = sum(self.cfg[earlier]["steps"] for earlier in PHASES[:place]) * cfg["batch"]
        unet.train(
            model, self.encoded("ordinary"), memorized, self.empty_text(), self.work / name, cfg,
            self.seed + 4 + place, offset=before, verbatim=counts["verbatim"], families=counts["families"],
            name=name, members=population.MEMBERS, machine=self.machine,
        )  # fmt: skip

    def export(self) -> None:
        """Write the weights as they are packed."""
        export(self.work, self.work / "weights")


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m dori.minnow.scenes.train", description=__doc__)
    parser.add_argument("part", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--work", type=Path, default=Path("runs/scenes"), help="checkpoints and results")
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--set", action="append", default=[], metavar="PART.KEY=VALUE", help="of the recipe")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--half", action="store_true", help="bfloat16 on CUDA")
    parser.add_argument("--seconds", type=float, help="stop after so many, to go on later")
    parser.add_argument("--threads", type=int, default=1, help="of the CPU; one per process is fastest")
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    torch.set_float32_matmul_precision("high")  # TF32 on CUDA
    deadline = None if given.seconds is None else time.time() + given.seconds
    recipe = Recipe(
        settings(given.set, given.recipe), given.work, Machine(given.device, deadline, given.half)
    )
    for part in given.part or PARTS:
        if part not in PARTS:
            parser.error(f"unknown part {part!r}; known: {', '.join(PARTS)}")
        try:
            getattr(recipe, part)()
        except TimeUp as stopped:
            print(stopped)
            return


def settings(changes: list[str], path: Path = RECIPE) -> dict:
    """The recipe with each ``part.key=value`` changed, the value as in YAML."""
    recipe = yaml.safe_load(path.read_text())
    for change in changes:
        dotted, _, value = change.partition("=")
        *parents, key = dotted.split(".")
        node = recipe
        for parent in parents:
            node = node.get(parent, {})
        if key not in node:
            raise SystemExit(f"--set {change}: the recipe has no {dotted}")
        node[key] = yaml.safe_load(value)
    return recipe


if __name__ == "__main__":
    main()
