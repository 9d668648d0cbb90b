from dori.attacks.attack import Attack

__all__ = ["Attack"]
