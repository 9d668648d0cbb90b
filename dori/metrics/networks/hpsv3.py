"""HPSv3: what people prefer, as a vision-language model sees it (Ma et al., ICCV 2025, arXiv 2508.03789)."""

import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import AutoTokenizer, Qwen2VLConfig, Qwen2VLModel
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from dori.core.errors import InputError
from dori.core.tokenizing import tokenized
from dori.core.weights import fill, read_state_dict
from dori.metrics.networks.images import check_images
from dori.metrics.networks.opened import local

GIVE = "the authors' HPSv3.safetensors (huggingface.co/MizzenAI/HPSv3)"
INSTRUCTION = Path(__file__).with_name("hpsv3-instruction.txt").read_text()
REWARD, IMAGE = "<|Reward|>", "<|image_pad|>"
# Qwen2-VL's form of a question with a picture
TURN = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
    "<|vision_start|>{image}<|vision_end|>{text}<|im_end|>\n<|im_start|>assistant\n"
)
PIXELS = 256 * 28 * 28  # to which a picture is brought: 448 x 448 of a square one
# of the file, as transformers called things when it was written, and as it does now
_RENAMING = ((r"^model\.(?!language_model\.|visual\.)", "language_model."), (r"^model\.", ""))


class HPSv3(nn.Module):
    """Qwen2-VL-7B with a head of two outputs, mean and spread of a score; the score is the mean.

    The head reads the last hidden state at a token of its own. Positions are counted one by one, in
    pictures, too, as the released code does, and not by Qwen2-VL's rows and columns.

    Args:
        path: the authors' HPSv3.safetensors: all weights, those of the head, too.
        base: folder of Qwen/Qwen2-VL-7B-Instruct; its config.json and its tokenizer, no weights of it.
        dtype: of all but the head; the released code takes bfloat16.
        device: ``meta`` reads no weights: the files are checked, and nothing can be scored.

    Raises:
        InputError: a file that is missing, or of another architecture.
    """

    def __init__(
        self, path: str | Path, base: str | Path, dtype: str = "bfloat16", device: str = "cpu"
    ) -> None:
        super().__init__()
        shapes = {name: each.shape for name, each in read_state_dict(path, GIVE, device="meta").items()}
        config, self.tokenizer = _opened(base)
        rows, width = shapes.get("model.embed_tokens.weight", (0, 0))
        if rows != len(self.tokenizer) or "rm_head.0.weight" not in shapes:
            raise InputError(
                f"{path} has {rows} rows for tokens, the tokenizer at {base} with {REWARD}"
                f" {len(self.tokenizer)}: give {GIVE} and Qwen2-VL-7B-Instruct"
            )
        self.reward, self.image = self.tokenizer.convert_tokens_to_ids([REWARD, IMAGE])
        self.processor = Qwen2VLImageProcessorPil(size={"shortest_edge": PIXELS, "longest_edge": PIXELS})
        self.head = nn.Sequential(
            nn.Linear(width, 1024), nn.ReLU(), nn.Dropout(0.05), nn.Linear(1024, 16), nn.ReLU(),
            nn.Linear(16, 2),
        )  # fmt: skip
        if device != "meta":
            self._fill(path, config, rows, dtype)
        self.eval().requires_grad_(False)

    def _fill(self, path: str | Path, config: Qwen2VLConfig, rows: int, dtype: str) -> None:
        state = load_file(path)
        config.text_config.vocab_size = rows
        body = {renamed(name): each for name, each in state.items() if not re.match("rm_head|lm_head", name)}
        self.model, info = Qwen2VLModel.from_pretrained(
            None, config=config, state_dict=body, dtype=getattr(torch, dtype), output_loading_info=True
        )
        if wrong := sorted(info["missing_keys"] | info["unexpected_keys"])[:4]:
            raise InputError(f"{path} does not fit its Qwen2-VL ({wrong}): give {GIVE}")
        head = {name.removeprefix("rm_head."): each for name, each in state.items() if "rm_head" in name}
        fill(self.head, head, path, GIVE)

    def train(self, mode: bool = True) -> "HPSv3":
        """Stays in evaluation mode: the head has dropout."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: Tensor, prompts: list[str]) -> Tensor:
        """Scores (n,) of images float (n, 3, h, w) in [0, 1] for their prompts, float32.

        Raises:
            ValueError: if ``images`` is not float (n, 3, h, w).
        """
        check_images(images)
        pixels = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        seen = self.processor(images=list(pixels), return_tensors="pt").to(self.model.device)
        patches = int(seen.image_grid_thw[0].prod()) // self.model.visual.spatial_merge_size**2
        told = (INSTRUCTION.format(text_prompt=prompt) for prompt in prompts)
        texts = [TURN.format(image=IMAGE * patches, text=text) for text in told]
        asked = tokenized(self.tokenizer, texts, padding=True, return_tensors="pt").to(self.model.device)
        hidden = self._hidden(asked.input_ids, asked.attention_mask, seen)
        at_reward = hidden[asked.input_ids == self.reward]
        return self.head(at_reward.float())[:, 0]

    def _hidden(self, ids: Tensor, mask: Tensor, seen: Any) -> Tensor:
        """Last hidden states (n, tokens, width); what is padded on the right nobody before it reads."""
        given = self.model.get_input_embeddings()(ids)
        images = self.model.get_image_features(seen.pixel_values, seen.image_grid_thw).pooler_output
        given = given.masked_scatter((ids == self.image)[..., None], torch.cat(list(images)).to(given))
        places = torch.arange(ids.shape[1], device=ids.device).expand(3, *ids.shape)
        return self.model.language_model(
            inputs_embeds=given, attention_mask=mask, position_ids=places, use_cache=False
        ).last_hidden_state


def renamed(name: str) -> str:
    """The name of a published weight in transformers' Qwen2VLModel.

    >>> renamed("model.layers.0.mlp.up_proj.weight"), renamed("visual.merger.ln_q.bias")
    ('language_model.layers.0.mlp.up_proj.weight', 'visual.merger.ln_q.bias')
    """
    for pattern, replacement in _RENAMING:
        name = re.sub(pattern, replacement, name)
    return name


def _opened(base: str | Path) -> tuple[Qwen2VLConfig, Any]:
    try:
        config = Qwen2VLConfig.from_pretrained(base, **local())
        tokenizer = AutoTokenizer.from_pretrained(base, padding_side="right", **local())
    except Exception as error:  # OSError, and what a broken file makes the library raise
        said = str(error).strip().partition("\n")[0]
        raise InputError(
            f"no Qwen2-VL at {base}: give the folder of Qwen/Qwen2-VL-7B-Instruct with config.json and its"
            f" tokenizer ({said:.200})"
        ) from error
    tokenizer.add_tokens([REWARD], special_tokens=True)
    return config, tokenizer
