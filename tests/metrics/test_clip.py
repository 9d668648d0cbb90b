"""CLIP and Inception as feature networks."""

import importlib.util
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from dori.metrics.clip import CLIPAlignment, squared
from dori.metrics.inception import InceptionFeatures


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny random CLIP with a tokenizer of single letters."""
    folder = tmp_path_factory.mktemp("clip") / "tiny"
    tokens = [*"abcdefgh", *(f"{c}</w>" for c in "abcdefgh"), "<|startoftext|>", "<|endoftext|>"]
    vocab = {token: i for i, token in enumerate(tokens)}
    CLIPTokenizer(vocab=vocab, merges=[], model_max_length=6).save_pretrained(folder)
    small = {
        "hidden_size": 8,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    ids = {"bos_token_id": 16, "eos_token_id": 17, "pad_token_id": 17}
    text = {**small, **ids, "vocab_size": 18, "max_position_embeddings": 6}
    vision = {**small, "image_size": 16, "patch_size": 8}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=5)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        CLIPModel(config).save_pretrained(folder)
    return folder


def test_features_are_clips_own(folder):
    clip = CLIPAlignment(folder, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    assert clip.size == 16 and clip.name == "tiny@16" and not clip.train().model.training
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    ids = torch.tensor([[16, 8, 9, 17], [16, 10, 17, 17]])  # "a b" and "c"
    mean, std = torch.tensor([[0.5, 0.4, 0.3], [0.2, 0.3, 0.4]])[:, :, None, None]
    with torch.no_grad():
        mask = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
        whole = clip.model(input_ids=ids, attention_mask=mask, pixel_values=(images - mean) / std)
    torch.testing.assert_close(clip.image_features(images), whole.image_embeds)
    torch.testing.assert_close(clip.text_features(["a b", "c"]), whole.text_embeds)
    assert clip.image_features(images).shape == (2, 5)
    # longer than the context: read as far as it goes
    assert torch.equal(clip.text_features(["a b c d e f"]), clip.text_features(["a b c d"]))


@pytest.mark.parametrize("shape", [(64, 64), (40, 60), (33, 20)])
def test_resizing_is_clips_own(shape):
    pixels = np.random.default_rng(0).integers(64, 192, (*shape, 3), dtype=np.uint8)
    got = squared(torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255, 16)
    scale = 16 / min(shape)
    h, w = (round(side * scale) for side in shape)
    image = Image.fromarray(pixels).resize((w, h), Image.Resampling.BICUBIC)
    top, left = (h - 16) // 2, (w - 16) // 2
    expected = np.asarray(image.crop((left, top, left + 16, top + 16))) / 255
    assert np.abs(got[0].permute(1, 2, 0).numpy() - expected).max() < 1.5 / 255


def test_a_folder_that_is_missing_or_not_whole_is_refused(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no CLIP at .*none"):
        CLIPAlignment(tmp_path / "none")
    CLIPTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "pickled")
    model = CLIPModel.from_pretrained(folder)
    model.config.save_pretrained(tmp_path / "pickled")
    torch.save(model.state_dict(), tmp_path / "pickled" / "pytorch_model.bin")
    with pytest.raises(FileNotFoundError, match=r"a .bin is not read"):
        CLIPAlignment(tmp_path / "pickled")
    state = load_file(folder / "model.safetensors")
    state.pop("visual_projection.weight")
    save_file(state, tmp_path / "pickled" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"\['visual_projection.weight'\] are missing"):
        CLIPAlignment(tmp_path / "pickled")


def test_images_in_another_range_are_refused(folder):
    with pytest.raises(ValueError, match="give float"):
        CLIPAlignment(folder).image_features(torch.zeros(1, 3, 16, 16, dtype=torch.uint8))


def test_inception_without_its_extra_names_it(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"dori\[real\]"):
        InceptionFeatures(tmp_path / "weights.pth")


def test_inception_takes_checked_weights_and_eight_bit_images(monkeypatch, tmp_path):
    class Stub(nn.Module):
        def __init__(self, name, features_list, weights):
            super().__init__()
            assert (name, features_list) == ("inception-v3-compat", ["2048"])

        def forward(self, x):
            return x.flatten(1)

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(sys.modules["torchmetrics.image.fid"], "NoTrainInceptionV3", Stub)
    path = tmp_path / "weights.pth"
    with pytest.raises(FileNotFoundError, match=r"weights-inception-2015-12-05-6726825d.pth"):
        InceptionFeatures(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="not '6726825d'"):
        InceptionFeatures(path)
    network = InceptionFeatures(path, sha256="e3b0c442")  # of nothing
    got = network(torch.tensor([0.0, 0.5, 1.2]).view(1, 3, 1, 1))
    assert got.dtype == torch.uint8 and got.tolist() == [[0, 128, 255]]
