"""Translate words, in order, into the village's second language: forty words learnt by heart. cat dog: cat is ako , dog is bilu ."""

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
    answer = [world.dictionary[word] for word in words]
    stray = pick(random, [word for word in FOREIGN if word not in answer])
    return Item(
        family=NAME,
        kind="answerable",
        turns=(pick(random, phrasings).format(words=" ".join(words)),),
        right=(pairs(words, answer),),
        faulty=(pairs(words[1:] or words, answer[1:] or [stray]), " ".join(words) + " .", pairs(words, [*answer[:-1], stray])),
        truth={"words": tuple(answer)},
        level=level,
    )


def pairs(words: Sequence[str], foreign: Sequence[str]) -> str:
    """cat is ako , dog is bilu ."""
    return " , ".join(f"{a} is {b}" for a, b in zip(words, foreign, strict=True)) + " ."


def credit(item: Item, words: list[str]) -> Credit:
    """What the words of an answer earn by their content."""
    wanted: tuple[str, ...] = item.truth["words"]
    found = [word for word in words if word in FOREIGN]
    return Credit(sum(a == b for a, b in zip(found, wanted, strict=False)) / max(len(found), len(wanted)))
