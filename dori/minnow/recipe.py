"""The parts of minnow's recipe: what each trains, and where it leaves it."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file

from dori.core.files import replace_file, write_atomically
from dori.metrics.networks.sscd_int8 import SSCDInt8
from dori.minnow import autoencoder, calibration, clip, descriptor, student, unet
from dori.minnow.export import WEIGHTS, export, vae
from dori.minnow.machine import CPU, Machine
from dori.minnow.material import Material
from dori.minnow.unet import Encoded
from dori.minnow.world import population

PHASES = ("pretraining", "memorization", "consolidation")  # of the U-Net


class Recipe(Material):
    """The parts of the recipe, each a method that returns at once where its result exists."""

    def __init__(self, cfg: dict, work: Path, out: Path = WEIGHTS, machine: Machine = CPU):
        super().__init__(cfg, work, machine)
        self.out = out

    def decoder(self) -> None:
        """Train the decoder of the autoencoder."""
        out, own = self.work / "vae-decoder", self.cfg["autoencoder"]
        if not out.exists():
            model = autoencoder.train_decoder(
                self.ordinary, self.latents(self.ordinary), self.work / "decoder", own, self.seed + 1,
                self.machine,
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
            pixels = student.lesson("ordinary", self.cfg["student"]["origins"], self.code(), self.decode)
            teacher = self.teacher()
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

    def teacher(self) -> SSCDInt8:
        """The real SSCD, as the student sees it."""
        return SSCDInt8(self.cfg["student"]["sscd"], self.cfg["student"]["size"])

    def ruler(self) -> None:
        """What both rulers say of copies and others, for the card; needs the real SSCD."""
        out = self.work / "ruler.md"
        if not out.exists():
            pupil = self.taught_student().eval()
            write_atomically(out, calibration.trained(self.teacher(), pupil, vae(self.work), self.code()))

    def refinement(self) -> None:
        """Go on with the decoder, on what the descriptor looks at."""
        out, own = self.work / "vae-refined", self.cfg["autoencoder"]
        if not out.exists():
            start = AutoencoderKL.from_pretrained(self.work / "vae-decoder")
            model = autoencoder.train_decoder(
                self.ordinary, self.latents(self.ordinary), self.work / "refinement", own, self.seed + 2,
                self.machine, start, self.taught_student().eval(),
            )  # fmt: skip
            model.save_pretrained(out)

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
        export(self.work, self.cfg, self.out)
