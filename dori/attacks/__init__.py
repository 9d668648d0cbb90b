"""Attacks: a search for an input that brings a target's picture back out of a model."""

from dori.attacks.attack import Attack

__all__ = ["Attack"]
