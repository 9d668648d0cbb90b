"""HPSv3 against a plain reference: one picture at a time, its patches cut by hand, the head as matrices."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import Qwen2Tokenizer, Qwen2VLConfig, Qwen2VLModel

from dori.core.errors import InputError
from dori.metrics.networks.hpsv3 import HPSv3
from tests import tiny

SPECIAL = [f"<|{name}|>" for name in "im_start im_end vision_start vision_end image_pad endoftext".split()]
MEAN, STD = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])
WIDTH = 16


def build_hpsv3(folder: Path) -> tuple[Path, Path]:
    """A random Qwen2-VL of two layers with HPSv3's head, in the published layout; and its base's folder."""
    base, letters = folder / "base", [*map(chr, range(33, 127)), "Ġ", "Ċ"]
    vocab = {token: i for i, token in enumerate(letters)}
    tokenizer = Qwen2Tokenizer(vocab=vocab, merges=[], extra_special_tokens=SPECIAL, pad_token=SPECIAL[-1])
    tokenizer.save_pretrained(base)
    text = {
        "hidden_size": WIDTH, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "num_key_value_heads": 1, "vocab_size": 200, "max_position_embeddings": 8192,
        "bos_token_id": None, "eos_token_id": None,
        "rope_parameters": {"rope_type": "default", "mrope_section": [1, 1, 2], "rope_theta": 1e4},
    }  # fmt: skip
    vision = {"depth": 1, "embed_dim": 16, "hidden_size": WIDTH, "num_heads": 2, "mlp_ratio": 2}
    image = tokenizer.convert_tokens_to_ids("<|image_pad|>")
    config = Qwen2VLConfig(text_config=text, vision_config=vision, image_token_id=image)
    config.save_pretrained(base)
    config.text_config.vocab_size = len(tokenizer) + 1  # HPSv3's own token
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Qwen2VLModel(config)
        for parameter in model.parameters():  # one that tells pictures and prompts apart
            torch.nn.init.normal_(parameter, std=0.5)
        state = model.state_dict()
        sizes = {"0": (WIDTH, 1024), "3": (1024, 16), "5": (16, 2)}
        head = {f"rm_head.{i}.weight": torch.randn(out, into) / into**0.5 for i, (into, out) in sizes.items()}
        head |= {f"rm_head.{i}.bias": torch.randn(out) for i, (_, out) in sizes.items()}
    published = {re.sub("^language_model", "model", name): each for name, each in state.items()}
    published |= {**head, "lm_head.weight": torch.zeros(len(tokenizer) + 1, WIDTH)}
    save_file(published, folder / "HPSv3.safetensors")
    return folder / "HPSv3.safetensors", base


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build_hpsv3(tmp_path_factory.mktemp("hpsv3"))


def cut(picture: np.ndarray) -> Tensor:
    """Patches of 14 x 14 pixels, each twice (as a film), four neighbours in turn; (1024, 1176)."""
    square = Image.fromarray(picture).resize((448, 448), Image.Resampling.BICUBIC)
    pixels = ((np.array(square) / 255 - MEAN) / STD).transpose(2, 0, 1)
    rows = []
    for top in range(0, 448, 28):
        for left in range(0, 448, 28):
            for y in (top, top + 14):
                for x in (left, left + 14):
                    patch = pixels[:, y : y + 14, x : x + 14]
                    rows.append(np.stack([patch, patch], 1).ravel())
    return torch.from_numpy(np.stack(rows)).float()


def plain(files: tuple[Path, Path], picture: np.ndarray, prompt: str) -> float:
    """The published score of one picture: the first output of the head, at the token <|Reward|>."""
    published, base = files
    state = load_file(published)
    config, tokenizer = Qwen2VLConfig.from_pretrained(base), Qwen2Tokenizer.from_pretrained(base)
    tokenizer.add_tokens(["<|Reward|>"], special_tokens=True)
    config.text_config.vocab_size = len(tokenizer)
    model = Qwen2VLModel(config).eval()
    names = {name: re.sub("^model", "language_model", name) for name in state if "m_head" not in name}
    model.load_state_dict({names[name]: state[name] for name in names})
    asked = (Path(__file__).parents[2] / "dori/metrics/networks/hpsv3-instruction.txt").read_text()
    text = (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<|vision_start|>"
        + "<|image_pad|>" * 256 + "<|vision_end|>" + asked.replace("{text_prompt}", prompt)
        + "<|im_end|>\n<|im_start|>assistant\n"
    )  # fmt: skip
    ids = tokenizer(text, return_tensors="pt").input_ids
    with torch.no_grad():
        given = model.language_model.embed_tokens(ids)
        seen = model.visual(cut(picture), grid_thw=torch.tensor([[1, 32, 32]])).pooler_output
        given[0, ids[0] == config.image_token_id] = seen
        hidden = model.language_model(inputs_embeds=given).last_hidden_state[0]
    place = ids[0].tolist().index(tokenizer.convert_tokens_to_ids("<|Reward|>"))
    x = hidden[place].double()
    for i in ("0", "3", "5"):
        x = state[f"rm_head.{i}.weight"].double() @ x + state[f"rm_head.{i}.bias"].double()
        x = x if i == "5" else x.clamp(min=0)
    return float(x[0])


def test_the_score_is_the_heads_mean_at_its_own_token(files: tuple[Path, Path]) -> None:
    """Two prompts of different length in one batch: what is padded changes nothing."""
    prompts = ["a fox", "a cat that reads {a book} in the rain"]
    pictures = [tiny.picture(0, 64, 64), 255 - tiny.picture(1, 64, 64)]
    images = torch.stack([torch.from_numpy(p).permute(2, 0, 1) for p in pictures]).float() / 255
    found = HPSv3(*files, dtype="float32")(images, prompts)
    expected = [plain(files, p, prompt) for p, prompt in zip(pictures, prompts, strict=True)]
    torch.testing.assert_close(found, torch.tensor(expected), rtol=0, atol=3e-5)
    assert abs(expected[0] - expected[1]) > 0.005
    swapped = HPSv3(*files, dtype="float32")(images.flip(0), prompts)
    assert (found - swapped).abs().min() > 0.0005  # far above the tolerance


def test_the_instruction_asks_for_a_rating_of_the_prompt(files: tuple[Path, Path]) -> None:
    text = (Path(__file__).parents[2] / "dori/metrics/networks/hpsv3-instruction.txt").read_text()
    assert text.startswith("\nYou are tasked") and text.endswith("of this image: <|Reward|>\n\nEND\n")
    assert text.count("{text_prompt}") == 1


def test_another_file_is_refused_before_weights_are_read(files: tuple[Path, Path], tmp_path: Path) -> None:
    published, base = files
    HPSv3(published, base, device="meta")
    with pytest.raises(InputError, match="no Qwen2-VL at nowhere"):
        HPSv3(published, "nowhere", device="meta")
    save_file({"model.embed_tokens.weight": torch.zeros(3, WIDTH)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match="has 3 rows for tokens"):
        HPSv3(tmp_path / "other.safetensors", base, device="meta")
