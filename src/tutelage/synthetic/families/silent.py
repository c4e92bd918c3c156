"""The same pages, asked for what they do not say. Right: say so. A guess is false, however likely it looks.

The dial is how hard that is to see: at levels 1 and 2 the question is of a kind that no page answers, at level 3 it is about someone
who is not on the page, at level 4 about someone who is, of whom the page says something else. If all were as hard as the last, a
reward model too small to look it up would learn to prefer "the page does not say" on every page.
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
UNSAID = ("what is in the bag of {name} ?", "what is on the table of {name} ?", "what does {name} want to find ?")
"""Questions that no page answers; guesses at them are things of the house."""


def make(random: np.random.Generator, world: World, level: int, phrasings: Sequence[str]) -> Item:
    """An item of this family at a level of difficulty, in one of `phrasings`."""
    lines = page.facts(random, page.PEOPLE[level], page.FACTS[level])
    names = [line.name for line in lines]
    if level < 3:
        name, values = pick(random, names), lexicon.TOOLS
        question, guess = pick(random, UNSAID).format(name=name), f"it is a {pick(random, values)} ."
    else:
        name = pick(random, names if level > 3 else [n for n in lexicon.STRANGERS if n not in names])
        said = {line.attribute for line in lines if line.name == name}
        attribute = pick(random, [a for a in ATTRIBUTES if a not in said] or list(ATTRIBUTES))
        lines = [line for line in lines if (line.name, line.attribute) != (name, attribute)]
        values = ATTRIBUTES[attribute]
        lures = [line.value for line in lines if line.attribute == attribute] or [pick(random, values)]
        question, guess = pick(random, QUESTIONS[attribute]).format(name=name), Fact(name, attribute, lures[0]).sentence
    return Item(
        family=NAME,
        kind="unknowable",
        turns=(pick(random, phrasings).format(page=page.page(lines), question=question),),
        right=("the page does not say .", "i do not know ."),
        faulty=(guess,),
        truth={"values": values},
        level=level,
    )


def credit(item: Item, words: list[str]) -> Credit:
    """What the words of an answer earn by their content."""
    return admission(words, item.truth["values"])
