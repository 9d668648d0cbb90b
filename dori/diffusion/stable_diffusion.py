"""A Stable-Diffusion-style pipeline as a few functions; everything else in dori speaks to this."""

import copy
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import cached_property
from pathlib import Path

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTokenizer

from dori.core.code import code_of
from dori.core.errors import InputError, check_positive
from dori.core.files import as_umask
from dori.core.neutral import neutral
from dori.core.tokenizing import tokenized
from dori.diffusion.checks.fit import check_fit, text_settings
from dori.diffusion.checks.folder import NETWORKS, check_pipeline, local_folder
from dori.diffusion.checks.headers import check_headers
from dori.diffusion.checks.schedule import check_steps, scheduler_of
from dori.diffusion.checks.tokens import check_lengths, load_tokenizer, too_long
from dori.diffusion.files import model_fingerprint, part, parts
from dori.diffusion.guard import Guard
from dori.diffusion.loading import load_pipeline, load_skeleton
from dori.diffusion.similarity import ms_ssim

DTYPES = ("float32", "float16", "bfloat16", "float64")


@neutral("batch")
class StableDiffusion:
    """Text-conditioned latent diffusion in diffusers' folder format, epsilon or v-prediction.

    Weights load at the first use, so that a run that finds all in its cache reads none.

    Args:
        path: folder or hub id of the pipeline; safetensors only.
        name: how rows and reports call the model.
        unet: folder of a U-Net to use in place of the pipeline's own.
        variant: of the weights' files, e.g. ``fp16``; null: the plain ones.
        revision: of the hub's repository; null: the newest.
        dtype: of the weights, e.g. ``float32`` or ``float16``.
        sampling_steps: DDIM steps.
        guidance: classifier-free guidance scale; 1 means none.
        images_per_prompt: seeds per prompt.
        batch: most samples in one U-Net call; bounds the memory.
        truncate_prompts: cut a prompt that is too long instead of refusing it.
        noise_similarity: of two noise differences (n, c, h, w), (n,): how NeMo compares latents of
            this model's size. Default: MS-SSIM as published, for latents of 44 x 44 and more.
        noise_timestep: at which NeMo looks, the second of 50 DDIM steps.
        loss_weight_cap: the model was trained with a loss weighted by 1 / alpha_bar, at most so much;
            null: with the plain one, as SD was. Fine-tuning goes on with the same.
        twin: the same model trained without the memorized images, where there is one.
    """

    def __init__(
        self,
        path: str,
        *,
        name: str,
        unet: str | None = None,
        variant: str | None = None,
        revision: str | None = None,
        dtype: str = "float32",
        sampling_steps: int = 50,
        guidance: float = 7.5,
        images_per_prompt: int = 10,
        batch: int = 16,
        truncate_prompts: bool = False,
        noise_similarity: Callable[[Tensor, Tensor], Tensor] = ms_ssim,
        noise_timestep: int = 961,
        loss_weight_cap: float | None = None,
        twin: "StableDiffusion | None" = None,
    ):
        for key, value in {
            "sampling_steps": sampling_steps, "images_per_prompt": images_per_prompt,
            "batch": batch, "guidance": guidance,
        }.items():  # fmt: skip
            check_positive(f"model.{key}", value)
        if dtype not in DTYPES:
            raise InputError(f"model.dtype {dtype!r} is none of {', '.join(DTYPES)}: choose one")
        self.name, self.twin, self.batch = name, twin, batch
        self.noise_similarity, self.noise_timestep = noise_similarity, noise_timestep
        self.loss_weight_cap = loss_weight_cap
        self.guard: Guard | None = None
        self.sampling_steps, self.guidance = sampling_steps, guidance
        self.images_per_prompt, self.truncate_prompts = images_per_prompt, truncate_prompts
        self.stored_dtype: torch.dtype = getattr(torch, dtype)
        self.folder = local_folder(path, revision)
        check_pipeline(path, self.folder, unet is not None)
        folders = {name: self.folder / name for name in NETWORKS}
        if unet is not None:
            folders["unet"] = Path(unet).expanduser()
        self.parts, self._variant = parts(folders, variant), variant
        for each in self.parts.values():
            check_headers(each)
        check_fit(self.parts)
        check_steps(self.scheduler, sampling_steps, "model.sampling_steps")

    def with_unet(self, folder: Path) -> "StableDiffusion":
        """The same model with weights of its own, read at the first use: the U-Net's from ``folder``."""
        other = copy.copy(self)
        for name in ("fingerprint", "pipeline", "skeleton", "_empty"):
            other.__dict__.pop(name, None)
        other.parts = self.parts | {"unet": part("unet", Path(folder), self._variant)}
        other.twin = None
        return other

    def guarded(self, guard: Guard) -> "StableDiffusion":
        """The same model behind a mitigation of its sampler."""
        other = copy.copy(self)
        other.guard, other.twin = guard, None
        return other

    @property
    def unet_folder(self) -> Path:
        return self.parts["unet"].folder

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all weights and configuration files that are loaded: what the model *is*."""
        return model_fingerprint(list(self.parts.values()), self.folder, str(self.stored_dtype))

    @property
    def identity(self) -> list[str]:
        """What a result depends on: the model as it is, and the code that runs it."""
        return [self.fingerprint, code_of(type(self).__module__)]

    @cached_property
    def pipeline(self) -> StableDiffusionPipeline:
        return load_pipeline(self.parts, self.folder, self.tokenizer, self.stored_dtype)

    @cached_property
    def skeleton(self) -> UNet2DConditionModel:
        """The U-Net's layers without their weights: what can be asked of it before it is loaded."""
        return load_skeleton(self.parts["unet"])

    @cached_property
    def tokenizer(self) -> CLIPTokenizer:
        return load_tokenizer(self.folder / "tokenizer", text_settings(self.parts["text_encoder"]))

    @property
    def networks(self) -> list[nn.Module]:
        """What a trainer moves to its device."""
        return [self.pipeline.unet, self.pipeline.vae, self.pipeline.text_encoder]

    @property
    def unet(self) -> nn.Module:
        return self.pipeline.unet

    @property
    def device(self) -> torch.device:
        return self.pipeline.unet.device

    @property
    def dtype(self) -> torch.dtype:
        return self.pipeline.unet.dtype

    @cached_property
    def scheduler(self) -> DDIMScheduler:
        return scheduler_of(self.folder)

    @property
    def train_timesteps(self) -> int:
        return self.scheduler.config.num_train_timesteps

    @property
    def first_timestep(self) -> int:
        """At which the sampler starts."""
        scheduler = DDIMScheduler.from_config(self.scheduler.config)
        scheduler.set_timesteps(self.sampling_steps)
        return int(scheduler.timesteps[0])

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one latent."""
        size = self.skeleton.config.sample_size
        side = size if isinstance(size, int) else size[0]
        return self.skeleton.config.in_channels, side, side

    @property
    def resolution(self) -> int:
        """Side of a picture in pixels."""
        return self.latent_shape[1] * self.pipeline.vae_scale_factor

    def check_prompts(self, prompts: list[str], sources: list[str] | None = None) -> None:
        """Raises InputError where a prompt has more tokens than the text encoder takes, with its source."""
        if not self.truncate_prompts:
            check_lengths(self.tokenizer, self.name, prompts, sources)

    def cut(self, prompts: list[str]) -> int:
        """How many of the prompts are cut, as ``truncate_prompts`` says."""
        return len(too_long(self.tokenizer, prompts)) if self.truncate_prompts else 0

    def tokenize(self, prompts: list[str]) -> Tensor:
        """Token ids (n, tokens), padded; what is too long is cut, see ``check_prompts``."""
        settings = {"padding": "max_length", "truncation": True, "return_tensors": "pt"}
        return tokenized(self.tokenizer, prompts, **settings).input_ids

    @torch.no_grad()
    def encode_prompts(self, prompts: list[str]) -> Tensor:
        """Text embeddings (n, tokens, width)."""
        parts = self.tokenize(prompts).to(self.device).split(256)
        return torch.cat([self.pipeline.text_encoder(part)[0] for part in parts])

    def read(self, prompts: list[str]) -> Tensor:
        """Text embeddings of prompts that somebody types, who meets the guard there is."""
        return self.encode_prompts(self.guard.texts(self, prompts) if self.guard else prompts)

    @torch.no_grad()
    def encode_images(self, images: Tensor) -> Tensor:
        """Scaled latents (n, c, h, w), the posterior's means, of uint8 images (n, 3, H, W)."""
        vae, size = self.pipeline.vae, max(1, self.batch // 8)
        parts = (part.to(vae.device, vae.dtype) / 127.5 - 1 for part in images.split(size))
        return torch.cat([vae.encode(part).latent_dist.mean for part in parts]) * vae.config.scaling_factor

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """uint8 images (n, 3, H, W), on the CPU, of scaled latents (n, c, h, w)."""
        vae, size = self.pipeline.vae, max(1, self.batch // 8)
        parts = (vae.decode(z / vae.config.scaling_factor).sample for z in latents.split(size))
        return torch.cat([((x / 2 + 0.5).clamp(0, 1) * 255).round().byte().cpu() for x in parts])

    def predict_noise(self, z_t: Tensor, t: Tensor, y: Tensor) -> Tensor:
        """Predicted noise (n, c, h, w) at latents ``z_t``, timesteps ``t`` (n,), embeddings ``y``."""
        out = self.pipeline.unet(z_t, t, y).sample
        if self.scheduler.config.prediction_type == "epsilon":
            return out
        a = self.scheduler.alphas_cumprod.to(z_t)[t].view(-1, 1, 1, 1)
        return a.sqrt() * out + (1 - a).sqrt() * z_t

    def denoising_loss(self, z: Tensor, y: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """Squared error per sample (n,), mean over the latent's values, of the predicted noise."""
        z_t = self.scheduler.add_noise(z, noise, t)
        return (self.predict_noise(z_t, t, y) - noise).float().square().mean((1, 2, 3))

    def training_loss(self, z: Tensor, y: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """The denoising loss per sample (n,), with the weights over t that the model was trained with."""
        loss = self.denoising_loss(z, y, noise, t)
        if self.loss_weight_cap is None:
            return loss
        weight = (1 / self.scheduler.alphas_cumprod).clamp(max=self.loss_weight_cap)
        return loss * (weight / weight.mean()).to(t.device)[t]

    @torch.no_grad()
    def denoise(self, y: Tensor, z: Tensor, *, steps: int, guidance: float) -> Iterator[tuple[int, Tensor]]:
        """DDIM from noise ``z``: yields (timestep, latents after it); at most ``batch`` // 2 samples.

        The embedding of the empty prompt is the unconditional half of the guidance.
        """
        yield from self.walk(y, z, steps=steps, guidance=guidance)

    def walk(
        self, y: Tensor, z: Tensor, *, steps: int, guidance: float, call: Callable[..., Tensor] | None = None
    ) -> Iterator[tuple[int, Tensor]]:
        """The same with gradients; ``call(f, z)`` is how the U-Net is called, e.g. by a checkpoint."""
        scheduler = DDIMScheduler.from_config(self.scheduler.config)
        scheduler.set_timesteps(steps, device=z.device)
        guided = guidance != 1
        context = torch.cat([self.empty.expand_as(y), y]) if guided else y

        def predict(z: Tensor, t: Tensor) -> Tensor:
            out = self.pipeline.unet(torch.cat([z, z]) if guided else z, t, context).sample
            if not guided:
                return out
            unconditional, conditional = out.chunk(2)
            return unconditional + guidance * (conditional - unconditional)

        for t in scheduler.timesteps:
            out = call(predict, z, t) if call else predict(z, t)
            z = scheduler.step(out, t, z).prev_sample
            yield int(t), z

    def sample(self, y: Tensor, noise: Tensor) -> Tensor:
        """uint8 images (n, 3, H, W) from embeddings (n, tokens, width) and noise (n, c, h, w)."""
        images, size = [], self.samples_per_call
        for some, start in zip(y.split(size), noise.split(size), strict=True):
            place = {"device": self.device, "dtype": self.dtype}
            y, z = some.to(**place), start.to(**place)
            if self.guard:
                y = self.guard.embeddings(self, y, z)
            with self.guard.sampling(self) if self.guard else nullcontext():
                *_, (_, z) = self.denoise(y, z, steps=self.sampling_steps, guidance=self.guidance)
            images.append(self.decode(z))
        return torch.cat(images)

    @property
    def samples_per_call(self) -> int:
        """Pictures denoised at once: guidance puts two samples of each through the U-Net."""
        return max(1, self.batch // 2)

    @property
    def evaluations_per_image(self) -> int:
        """U-Net samples for one picture, at most."""
        guard = self.guard.samples if self.guard else 0
        return self.sampling_steps * (1 if self.guidance == 1 else 2) + guard

    @property
    def empty(self) -> Tensor:
        """Embedding of the empty prompt (1, tokens, width)."""
        if not hasattr(self, "_empty"):
            self._empty = self.encode_prompts([""])
        return self._empty.to(self.device)

    def save(self, folder: Path) -> None:
        """Write the pipeline in diffusers' format, as the networks are now."""
        self.pipeline.save_pretrained(folder, safe_serialization=True)
        as_umask(folder)
