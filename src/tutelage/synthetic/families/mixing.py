"""What two colors mix to: 28 pairs, learnt by heart. The dial puts people into the question."""

from collections.abc import Sequence

import numpy as np

from tutelage.synthetic.item import Item, pick, several
from tutelage.synthetic.lexicon import COLORS, PAINTS, STRANGERS, THINGS_TO_PAINT
from tutelage.synthetic.scores import Credit, mentioned
from tutelage.synthetic.world import World

NAME = "color_mixing"
PHRASINGS = (
    "what do {a} and {b} make ?",
    "mix {a} and {b} , what color do you get ?",
    "what color is a mix of {a} and {b} ?",
    "i mix {a} with {b} . what color do i see ?",
)
RESERVED = ("tell me the color that {a} and {b} give together .", "please , what comes of {a} and {b} ?")


def make(random: np.random.Generator, world: World, level: int, phrasings: Sequence[str]) -> Item:
    """An item of this family at a level of difficulty, in one of `phrasings`."""
    a, b = several(random, PAINTS, 2)
    color = world.mixes[frozenset((a, b))]
    aside = [f"{pick(random, STRANGERS)} wants to paint the {pick(random, THINGS_TO_PAINT)} .", f"i am {pick(random, STRANGERS)} ."]
    prompt = pick(random, phrasings).format(a=a, b=b)
    wrong = pick(random, [c for c in COLORS if c not in (a, b, color)])
    return Item(
        family=NAME,
        kind="answerable",
        turns=(" ".join([*aside[: level - 1], prompt]),),
        right=(f"{a} and {b} make {color} .",),
        faulty=(f"{a} and {b} make {wrong} .", "i do not know ."),
        truth={"color": color, "paints": (a, b)},
        level=level,
    )


def credit(item: Item, words: list[str]) -> Credit:
    """What the words of an answer earn by their content."""
    found = [color for color in mentioned(words, COLORS) if color not in item.truth["paints"]]
    return Credit(1 / len(found) if item.truth["color"] in found else 0.0)
