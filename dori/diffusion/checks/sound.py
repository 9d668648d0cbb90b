"""Whether a model's weights are numbers, and what it makes of noise too: the checks that read them."""

from typing import TYPE_CHECKING

import torch
from torch import nn

from dori.core.errors import InputError
from dori.core.randomness import generator

if TYPE_CHECKING:
    from dori.diffusion.family import Family

SIDE = 16  # of the latent that is tried, at most: seconds on a CPU for a model of any size


@torch.no_grad()
def check_sound(diffusion: "Family") -> float:
    """The correlation of what the denoiser gives with the noise that it is given: near 1 if it predicts that.

    Raises:
        InputError: a weight, an embedding, a prediction or a picture that is not finite.
    """
    for name, part in diffusion.components.parts.items():
        _check_weights(f"{part.folder}", getattr(diffusion.pipeline, name), diffusion.dtype)
    channels, *sides = diffusion.latent_shape
    shape = (1, channels, *(min(side, SIDE) for side in sides))
    noise = torch.randn(shape, generator=generator(0, "sound")).to(diffusion.device, diffusion.dtype)
    y = diffusion.encode_prompts([""])
    _check_finite(diffusion, "text encoder's embedding of the empty prompt", y)
    try:
        last = torch.full((1,), diffusion.schedule.length - 1, device=diffusion.device)
        found = diffusion.called(noise, diffusion.schedule.asked(last), y, diffusion.guidance)
        vae = diffusion.pipeline.vae
        decoded = vae.decode(noise.to(vae.dtype)).sample
    except Exception as error:  # whatever a network says that wants something else
        raise InputError(f"{diffusion.folder}: the networks do not fit one another: {error}") from error
    _check_finite(diffusion, "denoiser's prediction", found)
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


def _check_finite(diffusion: "Family", what: str, value: torch.Tensor) -> None:
    if not torch.isfinite(value).all():
        hint = "the weights are broken" if diffusion.dtype == torch.float32 else "try model.dtype=float32"
        raise InputError(f"{diffusion.folder}: the {what} is not finite as {diffusion.dtype}: {hint}")
