"""The same pages, asked for what they do not say; at levels 1 and 2, about someone who is not on it at all.

Right: say so. A guess is false, however likely it looks.
"""

from collections.abc import Sequence

import numpy as np

from tutelage.synthetic import lexicon
from tutelage.synthetic.families import page
from tutelage.synthetic.item import Item, pick
from tutelage.synthetic.scores import Credit, admission
from tutelage.synthetic.world import ATTRIBUTES, QUESTIONS, Fact, World

NAME = "page_silent"
PHRASINGS = page.PHRASINGS
RESERVED = page.RESERVED


def make(random: np.random.Generator, world: World, level: int, phrasings: Sequence[str]) -> Item:
    """An item of this family at a level of difficulty, in one of `phrasings`."""
    lines = page.facts(random, page.PEOPLE[level], page.FACTS[level])
    name = pick(random, lines).name if level > 2 else pick(random, [n for n in lexicon.STRANGERS if n not in {f.name for f in lines}])
    said = {line.attribute for line in lines if line.name == name}
    attribute = pick(random, [a for a in ATTRIBUTES if a not in said] or list(ATTRIBUTES))
    lines = [line for line in lines if (line.name, line.attribute) != (name, attribute)]
    lures = [line.value for line in lines if line.attribute == attribute] or [pick(random, ATTRIBUTES[attribute])]
    question = pick(random, QUESTIONS[attribute]).format(name=name)
    return Item(
        family=NAME,
        kind="unknowable",
        turns=(pick(random, phrasings).format(page=page.page(lines), question=question),),
        right=("the page does not say .", "i do not know ."),
        faulty=(Fact(name, attribute, lures[0]).sentence,),
        truth={"attribute": attribute},
        level=level,
    )


def credit(item: Item, words: list[str]) -> Credit:
    """What the words of an answer earn by their content."""
    return admission(words, ATTRIBUTES[item.truth["attribute"]])
