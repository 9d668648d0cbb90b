"""Words trained by textual inversion give the pictures that diffusers gives."""

from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from safetensors.torch import save_file

from dori.core.errors import InputError
from dori.diffusion import pretrained
from dori.diffusion.family import Family
from tests import tiny
from tests.diffusion.pipelines import NARROW, T5_TOKENS, WIDE, saved
from tests.diffusion.test_families import noise_of, plain

PROMPTS = ["a <cat> on hill", "red style boat", "a red boat"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A word of three tokens in diffusers' format, and one as the web UI has it."""
    folder, stream = tmp_path_factory.mktemp("words"), torch.Generator().manual_seed(0)
    save_file({"<cat>": torch.randn(3, tiny.WIDTH, generator=stream)}, folder / "learned_embeds.safetensors")
    save_file({"emb_params": torch.randn(1, tiny.WIDTH, generator=stream)}, folder / "style.safetensors")
    return [str(folder / name) for name in ("learned_embeds.safetensors", "style.safetensors")]


def opened(folder: Path, **settings: object) -> Family:
    told = {"sampling_steps": 2, "guidance": 2.0, "batch": 4, "text_tokens": T5_TOKENS}
    return pretrained(str(folder), name="tiny", **told, **settings)


def test_pictures_are_those_of_plain_diffusers(epsilon_folder: Path, files: list[str]) -> None:
    model = opened(epsilon_folder, embeddings=files)
    noise = torch.randn(3, *model.latent_shape, generator=torch.Generator().manual_seed(0))
    ours = model.sample(model.encode_prompts(PROMPTS), noise)

    pipeline = StableDiffusionPipeline.from_pretrained(
        epsilon_folder, use_safetensors=True, safety_checker=None
    )
    pipeline.load_textual_inversion(files[0])
    pipeline.load_textual_inversion(files[1], token="style")
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        PROMPTS, latents=noise, num_inference_steps=2, guidance_scale=2.0, output_type="np"
    ).images
    torch.testing.assert_close(ours, torch.from_numpy((theirs * 255).round()).byte().permute(0, 3, 1, 2))
    without = opened(epsilon_folder)
    other = without.sample(without.encode_prompts(PROMPTS), noise)
    assert [torch.equal(*pair) for pair in zip(ours, other, strict=True)] == [False, False, True]


def test_so_are_xls_whose_words_have_an_embedding_for_each_text_encoder(tmp_path: Path) -> None:
    folder, stream = saved("xl", tmp_path / "pipeline"), torch.Generator().manual_seed(0)
    word = {name: torch.randn(2, n, generator=stream) for name, n in (("clip_l", NARROW), ("clip_g", WIDE))}
    file, prompts = tmp_path / "cat.safetensors", ["a cat on hill", "a red boat"]
    save_file(word, file)
    model = opened(folder, embeddings=str(file), size=(32, 24))
    noise = noise_of(model, 2)
    ours = model.sample(model.encode_prompts(prompts), noise)
    pipeline = plain(model)
    for name, ending in (("clip_l", ""), ("clip_g", "_2")):
        parts = {part: getattr(pipeline, f"{part}{ending}") for part in ("tokenizer", "text_encoder")}
        pipeline.load_textual_inversion(word[name], token="cat", **parts)
    given = {"num_inference_steps": 2, "guidance_scale": 2.0, "output_type": "np", "width": 32, "height": 24}
    theirs = pipeline(prompts, latents=noise, **given).images
    drawn = torch.from_numpy((theirs * 255).round()).int().permute(0, 3, 1, 2)
    torch.testing.assert_close(ours.int(), drawn, rtol=0, atol=1)
    without = opened(folder, size=(32, 24))
    other = without.sample(without.encode_prompts(prompts), noise)
    assert [torch.equal(*pair) for pair in zip(ours, other, strict=True)] == [False, True]
    assert model.content(prompts).sum(1).tolist() == [1 + 5, 1 + 3]
    save_file(word | {"clip_g": word["clip_g"][:1]}, file)
    with pytest.raises(InputError, match="another number of tokens for each"):
        opened(folder, embeddings=str(file))


def test_words_count_as_their_tokens_before_any_weight_is_read(
    epsilon_folder: Path, files: list[str]
) -> None:
    model = opened(epsilon_folder, embeddings=files)
    assert model.content(PROMPTS).sum(1).tolist() == [1 + 6, 1 + 3, 1 + 3]
    long = " ".join(["<cat>"] * (tiny.TOKENS // 3))
    with pytest.raises(InputError, match=rf"prompt of {3 * (tiny.TOKENS // 3) + 2} tokens"):
        model.check_prompts([long])
    assert "pipeline" not in model.__dict__
    model.encode_prompts(PROMPTS)
    assert model.pipeline.tokenizer.get_vocab() == model.tokenizer.get_vocab()


def test_embedding_and_word_are_in_the_fingerprint(
    epsilon_folder: Path, files: list[str], tmp_path: Path
) -> None:
    other = tmp_path / "other.safetensors"
    other.write_bytes(Path(files[1]).read_bytes())
    found = [
        opened(epsilon_folder, embeddings=each).fingerprint for each in (None, files[1], str(other), files)
    ]
    assert len(set(found)) == 4
    assert opened(epsilon_folder, embeddings=files).fingerprint == found[3]


def test_what_fits_no_text_encoder_is_refused(epsilon_folder: Path, files: list[str], tmp_path: Path) -> None:
    wide, two, lora = (tmp_path / f"{name}.safetensors" for name in ("wide", "two", "lora"))
    pickle = tmp_path / "word.pt"
    save_file({"<cat>": torch.zeros(tiny.WIDTH + 1)}, wide)
    save_file({"clip_l": torch.zeros(2, 3), "clip_g": torch.zeros(2, 4)}, two)
    save_file({"a": torch.zeros(2, 3), "b": torch.zeros(2, 4)}, lora)
    pickle.touch()
    for given, told in {
        str(wide): f"is of width {tiny.WIDTH + 1}, but the text encoders of tiny have {tiny.WIDTH}",
        str(two): f"is of width 3 and 4, but the text encoders of tiny have {tiny.WIDTH}",
        str(lora): "has 2 weights, where a word has one, or clip_l and clip_g",
        str(pickle): "pickled ones can run code",
        str(tmp_path / "none.safetensors"): "is no file",
    }.items():
        with pytest.raises(InputError, match=told):
            opened(epsilon_folder, embeddings=given)
    with pytest.raises(InputError, match="'style' twice"):
        opened(epsilon_folder, embeddings=[files[1], files[1]])


@pytest.mark.parametrize("family", ["sd3", "flux", "pixart"])
def test_other_families_refuse_words(family: str, files: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Stable Diffusion 1, 2 and XL, but tiny has other text encoders"):
        opened(saved(family, tmp_path / "pipeline"), embeddings=files[0])
