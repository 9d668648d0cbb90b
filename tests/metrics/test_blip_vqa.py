"""BLIP-VQA against T2I-CompBench's definition: one picture and question at a time, softmax over all words."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import BertTokenizer, BlipConfig, BlipForQuestionAnswering

from dori.core.errors import InputError
from dori.metrics.networks.blip_vqa import BlipVQA
from tests import tiny

WORDS = "a red book yellow vase and ? yes no in field".split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SIZE = 24
MEAN, STD = np.array([0.48145466, 0.4578275, 0.40821073]), np.array([0.26862954, 0.26130258, 0.27577711])


def build_blip(folder: Path) -> Path:
    """A random BlipForQuestionAnswering of two layers, with a tokenizer of a few words."""
    ids = {word: i for i, word in enumerate([*SPECIAL, *WORDS])}
    BertTokenizer(vocab=ids, do_lower_case=True).save_pretrained(folder)
    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    begin = len(ids)  # and behind it the token of encoding
    text = {
        **small, "vocab_size": begin + 2, "bos_token_id": begin, "pad_token_id": 0, "sep_token_id": 3,
        "eos_token_id": 3, "encoder_hidden_size": 16, "max_position_embeddings": 40, "projection_dim": 8,
        "initializer_range": 0.5,
    }  # fmt: skip
    vision = {**small, "image_size": SIZE, "patch_size": 8, "initializer_range": 0.5}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BlipForQuestionAnswering(BlipConfig(text_config=text, vision_config=vision))
        for parameter in model.parameters():  # one that is sure of something
            torch.nn.init.normal_(parameter, std=0.4)
        model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_blip(tmp_path_factory.mktemp("blip") / "tiny")


def plain(folder: Path, picture: np.ndarray, questions: list[list[int]]) -> float:
    """The published score of one picture; questions as ids of words, without the marks around them."""
    model = BlipForQuestionAnswering.from_pretrained(folder).eval()
    begin = model.config.text_config.bos_token_id
    square = Image.fromarray(picture).resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    pixels = torch.from_numpy((np.array(square) / 255 - MEAN) / STD).permute(2, 0, 1)[None].float()
    score = 1.0
    for words in questions:
        with torch.no_grad():
            seen = model.vision_model(pixels).last_hidden_state
            ids = torch.tensor([[begin + 1, *words, 3]])
            read = model.text_encoder(ids, torch.ones_like(ids), encoder_hidden_states=seen)[0]
            logits = model.text_decoder(torch.tensor([[begin]]), encoder_hidden_states=read).logits
        chance = torch.softmax(logits[0, 0], 0)
        yes, no = (chance[len(SPECIAL) + WORDS.index(word)].item() for word in ("yes", "no"))
        score *= yes / (yes + no)
    return score


def ids(question: str) -> list[int]:
    return [len(SPECIAL) + WORDS.index(word) for word in question.split()]


def test_the_score_is_the_product_over_questions_of_yes_among_yes_and_no(folder: Path) -> None:
    """Pictures of one batch have questions of different length and number; one has none."""
    asked = [["a red book ?", "yellow vase ?"], [], ["a book and a vase in a field ?"], ["red ?"]]
    pictures = [tiny.picture(i, 24, 24) for i in range(len(asked))]
    images = torch.stack([torch.from_numpy(p).permute(2, 0, 1) for p in pictures]).float() / 255
    found = BlipVQA(folder)(images, asked)
    expected = [
        plain(folder, p, [ids(question) for question in own]) for p, own in zip(pictures, asked, strict=True)
    ]
    torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-4, atol=1e-5)
    assert expected[1] == 1 and len({round(value, 3) for value in expected}) == 4


def test_a_question_is_read_in_lower_case_and_without_marks(folder: Path) -> None:
    blip, image = BlipVQA(folder), torch.rand(1, 3, 30, 20, generator=torch.Generator().manual_seed(0))
    assert torch.equal(blip(image, [["A (red) Book.?"]]), blip(image, [["a red book?"]]))
    assert not torch.equal(blip(image, [["a red vase?"]]), blip(image, [["a red book?"]]))


def test_oblong_pictures_are_squashed(folder: Path) -> None:
    picture = tiny.picture(3, 48, 96)
    image = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    found = BlipVQA(folder)(image, [["a red vase ?"]])
    # Pillow rounds to 8 bits after each axis
    assert found.item() == pytest.approx(plain(folder, picture, [ids("a red vase ?")]), abs=0.01)


def test_what_is_no_blip_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no BLIP at nowhere"):
        BlipVQA("nowhere")
    bare = shutil.copytree(folder, tmp_path / "bare")
    for file in bare.glob("*token*"):
        file.unlink()
    (bare / "vocab.txt").unlink(missing_ok=True)
    with pytest.raises(InputError):
        BlipVQA(bare)
    assert next(BlipVQA(folder, device="meta").parameters()).is_meta
    config = json.loads((folder / "config.json").read_text())
    assert config["vision_config"]["image_size"] == BlipVQA(folder).size


def test_offline_no_hub_is_asked_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DORI_OFFLINE", "1")
    asked = []
    monkeypatch.setattr(
        BlipForQuestionAnswering, "from_pretrained", lambda *_, **given: asked.append(given) or 1 / 0
    )
    with pytest.raises(InputError, match="no BLIP at"):
        BlipVQA("Salesforce/blip-vqa-capfilt-large")
    assert asked[0]["local_files_only"] is True
