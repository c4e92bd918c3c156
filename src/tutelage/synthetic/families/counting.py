"""Count how often a word occurs, one to six times. One off earns a little."""

from collections.abc import Sequence

import numpy as np

from tutelage.synthetic.item import Item, pick, several
from tutelage.synthetic.lexicon import ANIMALS, DIGITS, FOODS
from tutelage.synthetic.scores import Credit, mentioned
from tutelage.synthetic.world import World

NAME = "count"
PHRASINGS = (
    "how many times do you see {word} : {things} ?",
    "count the word {word} in {things} .",
    "{things} . how many times is {word} here ?",
    "here is a list : {things} . count {word} .",
)
RESERVED = ("please tell me how many times {word} comes in {things} .", "{things} . what is the count of {word} ?")
MOST = {1: 2, 2: 3, 3: 6, 4: 8}
OTHERS = {1: 1, 2: 2, 3: 2, 4: 1}
ONE_OFF = 0.3


def make(random: np.random.Generator, world: World, level: int, phrasings: Sequence[str]) -> Item:
    """An item of this family at a level of difficulty, in one of `phrasings`."""
    word, *others = several(random, (*ANIMALS, *FOODS), 3)
    fewest = 1 if level < 4 else 7
    count = int(random.integers(fewest, MOST[level] + 1))
    things = [word] * count + [pick(random, others) for _ in range(OTHERS[level])]
    things = several(random, things, len(things))
    return Item(
        family=NAME,
        kind="answerable",
        turns=(pick(random, phrasings).format(word=word, things=" ".join(things)),),
        right=(f"{count} .", f"there are {count} ."),
        faulty=(f"{count + 1} .", f"{len(things)} .", f"{max(0, count - 1)} ."),
        truth={"count": count},
        level=level,
    )


def credit(item: Item, words: list[str]) -> Credit:
    """What the words of an answer earn by their content."""
    found = mentioned(words, DIGITS)
    if len(found) != 1:
        return Credit(0.0)
    miss = abs(int(found[0]) - item.truth["count"])
    return Credit({0: 1.0, 1: ONE_OFF}.get(miss, 0.0))
