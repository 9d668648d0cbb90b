"""How much memory a model takes, counted without its weights: on fake tensors, which have shapes alone.

Every tensor that a call makes is counted from when it is made until nothing holds it any more, backward
pass included, with attention that is never written out (flash). A device's own library, its workspace and
what fragmentation costs come on top.
"""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import PreTrainedModel

from dori.diffusion.checks.fit import text_settings
from dori.diffusion.family import Family
from dori.diffusion.files import Part
from dori.diffusion.loading import load_skeleton


@dataclass(frozen=True)
class Needs:
    """Bytes that a model needs; what a call holds grows in proportion to its samples.

    Args:
        denoiser, texts, autoencoder: their weights.
        sample: of the loss of a sample, forward, and backward to its conditioning.
        prompt: to encode one.
        picture: to encode or decode one, whichever is more.
        offload: whether text encoders and denoiser take turns, and the autoencoder comes and goes.
    """

    denoiser: int
    texts: int
    autoencoder: int
    sample: int
    prompt: int
    picture: int
    offload: bool

    def attack(self, samples: int = 1) -> int:
        """At most, with so many samples in a call."""
        held = max(samples * self.sample, self.picture + self.autoencoder * self.offload)
        if self.offload:
            return max(self.texts + self.prompt, self.denoiser + held)
        return self.denoiser + self.texts + self.autoencoder + max(held, self.prompt)

    def samples(self, memory: int) -> int:
        """How many fit in a call; 0: not one."""
        if self.attack() > memory:
            return 0
        rest = memory - self.denoiser - (0 if self.offload else self.texts + self.autoencoder)
        return rest // self.sample


def needs(model: Family) -> Needs:
    """Of a model in its precision, as its settings say; reads no weights."""
    with imagined(model) as other:
        parts = {name: getattr(other.pipeline, name) for name in other.components.parts}
        sizes = {name: size(network) for name, network in parts.items()}
        denoiser, vae = other.KINDS.denoiser, parts["vae"]
        texts = {name: each for name, each in sizes.items() if name not in (denoiser, "vae")}
        latents = torch.zeros(1, *other.latent_shape, dtype=other.stored_dtype)
        image = torch.zeros(1, 3, *reversed(other.size), dtype=vae.dtype)
        return Needs(
            sizes[denoiser], sum(texts.values()), sizes["vae"], peak(lambda: pull(other, 1)),
            peak(lambda: other.encode_prompts([""])),
            max(peak(lambda: vae.encode(image)), peak(lambda: vae.decode(latents.to(vae.dtype)))),
            other.offload,
        )  # fmt: skip


def pull(model: Family, samples: int) -> None:
    """What an attack does in a call: the loss, and its gradient with respect to the conditionings."""
    dtype = model.stored_dtype
    z = torch.zeros(samples, *model.latent_shape, dtype=dtype)
    y = torch.zeros(samples, *model.rows.shape, dtype=dtype).requires_grad_(True)
    t = torch.full((samples,), model.schedule.length // 2)
    with torch.enable_grad():
        model.loss(z, y, torch.zeros_like(z), t).sum().backward()


def usable(memory: int) -> int:
    """Of a device's memory: a card is sold by GiB; the 7 % by which a GB is less are left to its library."""
    return memory * 10**9 // 2**30


@contextmanager
def imagined(model: Family, change: Callable[[nn.Module], None] | None = None) -> Iterator[Family]:
    """The same model with networks of its shapes and no weights, inside; ``change``: of its denoiser."""
    other = model.fresh()
    other.schedule, other.rows, other.size  # noqa: B018  have values, and are kept
    networks = {name: _shaped(part, other.dtypes[name]) for name, part in other.components.parts.items()}
    denoiser = networks[other.KINDS.denoiser]
    if other.gradient_checkpointing:
        denoiser.enable_gradient_checkpointing()  # type: ignore[operator]
    if change:
        change(denoiser)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        for network in networks.values():
            _fake(network, mode)
        absent, unused = dict.fromkeys(other.components.lacking), other.KINDS.unused
        other.pipeline = other.KINDS.pipeline(
            **networks, **absent, **unused, **other.texts.plain, scheduler=None
        )
        yield other


def peak(call: Callable[[], Any]) -> int:
    """Bytes of the tensors made in a call that are there at once, at most."""
    with _Held() as held:
        call()
    return held.most


def size(network: nn.Module) -> int:
    """Bytes of weights and buffers; of those that are tied, once."""
    stored = {id(value): value for value in network.state_dict(keep_vars=True).values()}
    return sum(value.numel() * value.element_size() for value in stored.values())


class _Held(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.known: set[int] = set()

    def __torch_dispatch__(
        self, function: Callable, types: Any, arguments: Any = (), named: Any = None
    ) -> Any:
        given = {_id(value) for value in tree_leaves((arguments, named)) if isinstance(value, Tensor)}
        made = function(*arguments, **(named or {}))
        for value in tree_leaves(made):
            if isinstance(value, Tensor) and _id(value) not in self.known | given:
                storage = value.untyped_storage()
                self.known.add(_id(value))
                self.now += storage.nbytes()
                self.most = max(self.most, self.now)
                weakref.finalize(storage, self._gone, _id(value), storage.nbytes())
        return made

    def _gone(self, key: int, count: int) -> None:
        self.known.discard(key)
        self.now -= count


def _id(value: Tensor) -> int:
    """Of the memory that a tensor is a view of."""
    return value.untyped_storage()._cdata


def _shaped(part: Part, dtype: torch.dtype) -> nn.Module:
    if not issubclass(part.kind, PreTrainedModel):
        found = load_skeleton(part)
    else:
        with torch.device("meta"):
            found = part.kind(text_settings(part))
    return nn.Module.to(found, dtype).requires_grad_(False).eval()


def _fake(network: nn.Module, mode: FakeTensorMode) -> None:
    """Weights on the meta device become fake ones on a CPU, for which kernels are chosen as for real ones."""
    known: dict[int, Any] = {}  # some are tied
    for module in network.modules():
        for store in (module._parameters, module._buffers):
            for name, value in store.items():
                if value is None:
                    continue
                fake: Any = FakeTensor(mode, value.detach().to("meta"), torch.device("cpu"))
                if isinstance(value, nn.Parameter):
                    fake = nn.Parameter(fake, requires_grad=value.requires_grad)
                store[name] = known.setdefault(id(value), fake)
