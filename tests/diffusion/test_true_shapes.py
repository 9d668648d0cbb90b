"""The layers of the published models, on the meta device: which are found, in which order, how wide."""

from collections import Counter

import pytest
import torch
from diffusers import (
    FluxTransformer2DModel,
    PixArtTransformer2DModel,
    SD3Transformer2DModel,
    UNet2DConditionModel,
)
from torch import nn

from dori.core.errors import InputError
from dori.diffusion.flux import Flux
from dori.diffusion.layers import layers_of
from dori.diffusion.pixart import PixArtSigma
from dori.diffusion.stable_diffusion_3 import StableDiffusion3
from dori.diffusion.stable_diffusion_xl import StableDiffusionXL
from dori.reference.shapes import DEV, MEDIUM, SIGMA, XL


def made(kind: type, config: dict) -> nn.Module:
    with torch.device("meta"):
        return kind(**config)


def found(network: nn.Module, family: type, choice: str) -> dict[str, tuple[int, int]]:
    layers = layers_of(network, family.LAYERS, choice, "this one")
    return {name: (layer.in_features, layer.out_features) for name, layer in layers.items()}


def test_xl() -> None:
    unet = made(UNet2DConditionModel, XL)
    assert sum(p.numel() for p in unet.parameters()) == pytest.approx(2.567e9, rel=1e-3)
    every = found(unet, StableDiffusionXL, "all_values")
    published = found(unet, StableDiffusionXL, "values")
    # 2 x 2 and 2 x 10 down, 10 in the middle, 3 x 10 and 3 x 2 up
    assert (len(every), len(published)) == (4 + 20 + 10 + 30 + 6, 4 + 20 + 10)
    assert Counter(published.values()) == {(2048, 640): 4, (2048, 1280): 30}
    tops = [name.split(".")[0] for name in every]
    assert tops == ["down_blocks"] * 24 + ["mid_block"] * 10 + ["up_blocks"] * 36
    wide = found(unet, StableDiffusionXL, "feed_forward")
    assert Counter(wide.values()) == {(2560, 640): 10, (5120, 1280): 60}


def test_sd_35_medium() -> None:
    transformer = made(SD3Transformer2DModel, MEDIUM)
    assert sum(p.numel() for p in transformer.parameters()) == pytest.approx(2.24e9, rel=0.11)
    values = found(transformer, StableDiffusion3, "values")
    # the image's second attention of the first thirteen blocks is none of the text's
    assert list(values) == [f"transformer_blocks.{i}.attn.add_v_proj" for i in range(24)]
    assert set(values.values()) == {(1536, 1536)}
    assert values == found(transformer, StableDiffusion3, "all_values")
    wide = found(transformer, StableDiffusion3, "feed_forward")
    # the last block drops the text
    assert Counter(name.split(".")[2] for name in wide) == {"ff": 24, "ff_context": 23}
    assert set(wide.values()) == {(6144, 1536)}
    places = [int(name.split(".")[1]) for name in wide]
    assert places == sorted(places)


def test_pixart_sigma() -> None:
    transformer = made(PixArtTransformer2DModel, SIGMA)
    assert sum(p.numel() for p in transformer.parameters()) == pytest.approx(0.61e9, rel=1e-2)
    values = found(transformer, PixArtSigma, "values")
    assert list(values) == [f"transformer_blocks.{i}.attn2.to_v" for i in range(28)]
    assert set(values.values()) == {(1152, 1152)}
    wide = found(transformer, PixArtSigma, "feed_forward")
    assert list(wide) == [f"transformer_blocks.{i}.ff.net.2" for i in range(28)]
    assert set(wide.values()) == {(4608, 1152)}


def test_flux() -> None:
    transformer = made(FluxTransformer2DModel, DEV)
    assert sum(p.numel() for p in transformer.parameters()) == pytest.approx(11.9e9, rel=1e-2)
    values = found(transformer, Flux, "values")
    assert list(values) == [f"transformer_blocks.{i}.attn.add_v_proj" for i in range(19)]
    assert set(values.values()) == {(3072, 3072)}
    wide = found(transformer, Flux, "feed_forward")
    single = {name: shape for name, shape in wide.items() if name.startswith("single")}
    assert list(single) == [f"single_transformer_blocks.{i}.proj_out" for i in range(38)]
    # attention's 3,072 columns come first, see first_column
    assert set(single.values()) == {(3072 + 12288, 3072)}
    assert list(wide)[-38:] == list(single)
    assert len(wide) == 2 * 19 + 38
    assert "proj_out" not in wide


@pytest.mark.parametrize(("family", "kind", "config"), [(StableDiffusion3, SD3Transformer2DModel, MEDIUM)])
def test_what_a_family_has_not_is_refused_by_name(family: type, kind: type, config: dict) -> None:
    with pytest.raises(InputError, match=r"has no cross-attention to the text alone.* \(attn2\.to_k\)"):
        found(made(kind, config), family, "text_keys")
