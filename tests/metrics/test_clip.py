"""CLIP as a feature network."""

import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from dori.core.errors import InputError
from dori.metrics.networks.clip import CLIPAlignment, squared


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
    with pytest.raises(InputError, match=r"no CLIP at .*none"):
        CLIPAlignment(tmp_path / "none")
    CLIPTokenizer.from_pretrained(folder).save_pretrained(tmp_path / "pickled")
    model = CLIPModel.from_pretrained(folder)
    model.config.save_pretrained(tmp_path / "pickled")
    torch.save(model.state_dict(), tmp_path / "pickled" / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"a .bin is not read"):
        CLIPAlignment(tmp_path / "pickled")
    state = load_file(folder / "model.safetensors")
    state.pop("visual_projection.weight")
    save_file(state, tmp_path / "pickled" / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"\['visual_projection.weight'\] are missing"):
        CLIPAlignment(tmp_path / "pickled")


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def edit(file, *keys, value):
    told = json.loads(file.read_text())
    place = told
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    file.write_text(json.dumps(told))


def refused(copy, **settings):
    """What is said, from the headers as from the whole folder."""
    said = []
    for device in ("meta", "cpu"):
        with pytest.raises(InputError) as error:
            CLIPAlignment(copy, **settings, device=device)
        said.append(str(error.value))
    assert said[0] == said[1] and "\n" not in said[0]
    return said[0]


def test_headers_are_enough(copy):
    assert all(p.is_meta for p in CLIPAlignment(copy, device="meta").parameters())


def test_half_a_file_or_a_pointer_is_refused(copy):
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:2000])
    assert "no CLIP at" in refused(copy)
    weights.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:1\n")
    assert "is a Git LFS pointer" in refused(copy)


def test_shapes_that_do_not_fit_are_refused(copy):
    edit(copy / "config.json", "text_config", "hidden_size", value=16)
    assert "no CLIP at" in refused(copy)


def test_a_tokenizer_that_is_missing_or_anothers_is_refused(copy):
    """Without its files, transformers makes one that knows no word."""
    (copy / "tokenizer.json").rename(copy / "away.json")
    assert "lacks its tokenizer" in refused(copy)
    vocab = {f"{letter}</w>": i for i, letter in enumerate("abcdefghijklmnopqrstuvwxyz")}
    CLIPTokenizer(vocab=vocab, merges=[]).save_pretrained(copy)
    assert "belong to two models" in refused(copy)


def test_a_tokenizer_that_says_no_length_reads_what_the_model_reads(folder, copy):
    edit(copy / "tokenizer_config.json", "model_max_length", value=10**30)
    texts = ["a b c d e f g h", "a"]
    assert torch.equal(CLIPAlignment(copy).text_features(texts), CLIPAlignment(folder).text_features(texts))


def test_another_preparation_of_images_is_refused(copy):
    (copy / "preprocessor_config.json").write_text(
        json.dumps({"image_mean": [0.5] * 3, "image_std": [0.5] * 3})
    )
    assert "set mean=[0.5, 0.5, 0.5]" in refused(copy)
    assert "set std=[0.5, 0.5, 0.5]" in refused(copy, mean=[0.5] * 3)
    assert CLIPAlignment(copy, mean=[0.5] * 3, std=[0.5] * 3).size == 16
    assert "looks at 16 x 16 pixels" in refused(copy, size=32, mean=[0.5] * 3, std=[0.5] * 3)


def test_images_in_another_range_are_refused(folder):
    with pytest.raises(ValueError, match="give float"):
        CLIPAlignment(folder).image_features(torch.zeros(1, 3, 16, 16, dtype=torch.uint8))
