"""Sort two to four digits, up or down. Half the credit is for the digits in their places, half for all of them."""

from collections.abc import Sequence

import numpy as np

from tutelage.synthetic.item import Item, pick, several
from tutelage.synthetic.lexicon import DIGITS
from tutelage.synthetic.scores import Credit
from tutelage.synthetic.world import World

NAME = "sort_digits"
PHRASINGS = (
    "sort these digits from {way} : {digits} .",
    "{digits} . sort the digits from {way} .",
    "here are digits : {digits} . what is the order from {way} ?",
    "give me {digits} in order from {way} .",
)
RESERVED = ("please write {digits} sorted from {way} .", "from {way} , how do you sort {digits} ?")
LENGTH = {1: 2, 2: 3, 3: 4, 4: 5}


def make(random: np.random.Generator, world: World, level: int, phrasings: Sequence[str]) -> Item:
    """An item of this family at a level of difficulty, in one of `phrasings`."""
    digits = several(random, DIGITS, LENGTH[level])
    down = level > 2 and random.random() < 0.5
    answer = sorted(digits, reverse=bool(down))
    wrong = [" ".join(order) + " ." for order in (digits, answer[:-1], answer[::-1]) if order != answer]
    way = "high to low" if down else "low to high"
    return Item(
        family=NAME,
        kind="answerable",
        turns=(pick(random, phrasings).format(way=way, digits=" ".join(digits)),),
        right=(" ".join(answer) + " .",),
        faulty=tuple(wrong),
        truth={"digits": tuple(answer)},
        level=level,
    )


def credit(item: Item, words: list[str]) -> Credit:
    """What the words of an answer earn by their content."""
    wanted: tuple[str, ...] = item.truth["digits"]
    found = tuple(word for word in words if word in DIGITS)
    places = sum(a == b for a, b in zip(found, wanted, strict=False)) / max(len(found), len(wanted))
    return Credit((places + (found == wanted)) / 2)
