"""Networks that are only looked at."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """No gradients for any weight, evaluation mode; both restored at the end."""
    wanted = [(p, p.requires_grad) for p in network.parameters()]
    training = network.training
    network.requires_grad_(False).eval()
    try:
        yield
    finally:
        network.train(training)
        for parameter, flag in wanted:
            parameter.requires_grad_(flag)
