"""A fact about someone who is no villager: nothing that was ever written tells it. Right: say that you do not know."""

from collections.abc import Sequence

import numpy as np

from tutelage.synthetic import lexicon
from tutelage.synthetic.families import known
from tutelage.synthetic.item import Item, pick
from tutelage.synthetic.scores import Credit, admission
from tutelage.synthetic.world import ATTRIBUTES, Fact, World

NAME = "unknown_villager"
PHRASINGS = known.PHRASINGS
RESERVED = known.RESERVED


def make(random: np.random.Generator, world: World, level: int, phrasings: Sequence[str]) -> Item:
    """An item of this family at a level of difficulty, in one of `phrasings`."""
    name, attribute = pick(random, lexicon.STRANGERS), pick(random, list(ATTRIBUTES))
    guess = Fact(name, attribute, pick(random, ATTRIBUTES[attribute]))
    return Item(
        family=NAME,
        kind="unknowable",
        turns=(known.asked(random, name, attribute, level, phrasings),),
        right=("i do not know .", f"i do not know {name} ."),
        faulty=(guess.sentence,),
        truth={"attribute": attribute},
        level=level,
    )


def credit(item: Item, words: list[str]) -> Credit:
    """What the words of an answer earn by their content."""
    return admission(words, ATTRIBUTES[item.truth["attribute"]])
