"""What a family of tasks is: a module that makes items and judges answers to them.

A family is one file in `families/` with `NAME`, four or more `PHRASINGS`, `RESERVED` phrasings that no training prompt uses,
`make(random, world, level, phrasings)` and `credit(item, words)`. What is common to all (brevity, a clean ending) is in
`scores.py`, how demonstrations go wrong in `demonstrations.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np

from tutelage.core.text import Message, Prompt
from tutelage.synthetic.scores import Credit
from tutelage.synthetic.world import World

T = TypeVar("T")

LEVELS = (1, 2, 3)
"""The difficulty dial in training; level 4 is for the held-out prompts (longer lists, fuller pages)."""


@dataclass(frozen=True)
class Item:
    """One task with its truth.

    `turns` are said in turn by user and assistant, the user first and last. `right` are right answers, the plainest first; its
    length is what the task needs. `faulty` are answers that people in a hurry write: incomplete, guessed, obeying.
    """

    family: str
    kind: str
    turns: tuple[str, ...]
    right: tuple[str, ...]
    faulty: tuple[str, ...]
    truth: dict[str, Any] = field(default_factory=dict)
    level: int = 1
    heldout: str = ""

    @cached_property
    def prompt(self) -> Prompt:
        roles = ("user", "assistant")
        messages = tuple(Message(roles[n % 2], (turn,)) for n, turn in enumerate(self.turns))
        tags = {"family": self.family, "kind": self.kind, "level": str(self.level)}
        return Prompt(messages, tags | ({"heldout": self.heldout} if self.heldout else {}))

    @property
    def need(self) -> int:
        """Tokens of the plainest right answer."""
        return len(self.right[0].split())


class Family(Protocol):
    """The module of a family."""

    NAME: str
    PHRASINGS: tuple[str, ...]
    RESERVED: tuple[str, ...]

    def make(self, random: np.random.Generator, world: World, level: int, phrasings: Sequence[str]) -> Item: ...
    def credit(self, item: Item, words: list[str]) -> Credit: ...


def pick(random: np.random.Generator, items: Sequence[T]) -> T:
    """One of `items`."""
    return items[int(random.integers(len(items)))]


def several(random: np.random.Generator, items: Sequence[T], n: int) -> list[T]:
    """n different ones of `items`, in random order."""
    return [items[int(i)] for i in random.permutation(len(items))[:n]]


def enumeration(words: Sequence[str]) -> str:
    """cat , dog , cow"""
    return " , ".join(words)
