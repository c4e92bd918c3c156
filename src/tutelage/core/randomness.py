"""Randomness as a pure function of what it is for: no generator, no state, so nothing to save and nothing to replay wrongly.

Every number is addressed by (seed, purpose, step, prompt id, sample, position); the address is hashed to a 128-bit key of
Philox (Salmon et al. 2011), whose counter is the position.
"""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Key = int | str
T = TypeVar("T")


def stream(*address: Key) -> np.random.Generator:
    """The generator at an address: ("sampling", seed, step, prompt id, sample), say."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in address)
    key = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "little")
    return np.random.Generator(np.random.Philox(key=key))


def uniforms(n: int, *address: Key) -> np.ndarray:
    """n numbers in [0, 1), float64; number i depends on the address and on i, never on n."""
    return stream(*address).random(n)


def permutation(n: int, *address: Key) -> list[int]:
    """An order of 0..n-1."""
    return stream(*address).permutation(n).tolist()


def choice(items: Sequence[T], *address: Key) -> T:
    """One of `items`."""
    return items[int(stream(*address).integers(len(items)))]
