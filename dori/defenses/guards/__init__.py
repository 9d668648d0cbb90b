"""Mitigations that act in the sampler and change no weights."""
