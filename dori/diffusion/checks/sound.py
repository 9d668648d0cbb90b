"""Whether a model's weights are numbers, and what it makes of noise too: the checks that read them."""

from typing import TYPE_CHECKING

import torch
from torch import nn

from dori.core.errors import InputError
from dori.core.randomness import generator
from dori.diffusion.checks.folder import NETWORKS

if TYPE_CHECKING:
    from dori.diffusion.stable_diffusion import StableDiffusion

SIDE = 16  # of the latent that is tried, at most: seconds on a CPU for a model of any size


@torch.no_grad()
def check_sound(diffusion: "StableDiffusion") -> float:
    """The correlation of what the U-Net gives with the noise that it is given: near 1 if it predicts that.

    Raises:
        InputError: a weight, an embedding, a prediction or a picture that is not finite.
    """
    for name, network in zip(NETWORKS, diffusion.networks, strict=True):
        _check_weights(f"{diffusion.parts[name].folder}", network, diffusion.dtype)
    channels, side, _ = diffusion.latent_shape
    shape = (1, channels, min(side, SIDE), min(side, SIDE))
    noise = torch.randn(shape, generator=generator(0, "sound")).to(diffusion.device, diffusion.dtype)
    y = diffusion.empty
    _check_finite(diffusion, "text encoder's embedding of the empty prompt", y)
    try:
        found = diffusion.unet(noise, diffusion.train_timesteps - 1, y).sample
        decoded = diffusion.pipeline.vae.decode(noise).sample
    except Exception as error:  # whatever a network says that wants something else
        raise InputError(f"{diffusion.folder}: the networks do not fit one another: {error}") from error
    _check_finite(diffusion, "U-Net's prediction", found)
    _check_finite(diffusion, "autoencoder's picture", decoded)
    pair = torch.stack([found.flatten(), noise.flatten()]).double()
    return float(torch.corrcoef(pair)[0, 1].nan_to_num())


def _check_weights(where: str, network: nn.Module, dtype: torch.dtype) -> None:
    for name, value in network.state_dict().items():
        if value.is_floating_point() and not torch.isfinite(value).all():
            count = int((~torch.isfinite(value)).sum())
            raise InputError(
                f"{where}: weight {name} has {count} of {value.numel()} values that are not finite as {dtype}"
                ": take the weights from before the merge or the training that broke"
                + ("" if dtype == torch.float32 else ", or try model.dtype=float32")
            )


def _check_finite(diffusion: "StableDiffusion", what: str, value: torch.Tensor) -> None:
    if not torch.isfinite(value).all():
        hint = "the weights are broken" if diffusion.dtype == torch.float32 else "try model.dtype=float32"
        raise InputError(f"{diffusion.folder}: the {what} is not finite as {diffusion.dtype}: {hint}")
