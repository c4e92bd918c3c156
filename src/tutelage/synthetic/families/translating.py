"""Translate words, in order, into the village's second language: forty words learnt by heart."""

from collections.abc import Sequence

import numpy as np

from tutelage.synthetic.item import Item, pick, several
from tutelage.synthetic.lexicon import FOREIGN, TRANSLATED
from tutelage.synthetic.scores import Credit
from tutelage.synthetic.world import World

NAME = "translate"
PHRASINGS = (
    "translate into the second language : {words} .",
    "say {words} in the second language .",
    "what is {words} in the second language ?",
    "how do you say {words} in the other language ?",
)
RESERVED = ("please give me {words} in the language of the village .", "{words} . now the same in the second language .")
LENGTH = {1: 1, 2: 2, 3: 3, 4: 5}


def make(random: np.random.Generator, world: World, level: int, phrasings: Sequence[str]) -> Item:
    """An item of this family at a level of difficulty, in one of `phrasings`."""
    words = several(random, TRANSLATED, LENGTH[level] + (level == 1 and random.random() < 0.7))
    answer = world.translate(tuple(words)).split()
    return Item(
        family=NAME,
        kind="answerable",
        turns=(pick(random, phrasings).format(words=" ".join(words)),),
        right=(" ".join(answer) + " .",),
        faulty=(
            " ".join(answer[:-1] or words) + " .",
            " ".join(words) + " .",
            " ".join([*answer[:-1], pick(random, [word for word in FOREIGN if word not in answer])]) + " .",
        ),
        truth={"words": tuple(answer)},
        level=level,
    )


def credit(item: Item, words: list[str]) -> Credit:
    """What the words of an answer earn by their content."""
    wanted: tuple[str, ...] = item.truth["words"]
    found = [word for word in words if word in FOREIGN or word in TRANSLATED]
    return Credit(sum(a == b for a, b in zip(found, wanted, strict=False)) / max(len(found), len(wanted)))
