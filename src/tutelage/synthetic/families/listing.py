"""List all words of one class among things of several: find, copy, leave out the rest."""

from collections.abc import Sequence

import numpy as np

from tutelage.synthetic.item import Item, enumeration, pick, several
from tutelage.synthetic.lexicon import CLASS_OF, CLASSES
from tutelage.synthetic.scores import Credit, mentioned, overlap
from tutelage.synthetic.world import World

NAME = "list_all"
PHRASINGS = (
    "list all {kind} : {things} .",
    "here are some things : {things} . list the {kind} .",
    "{things} . what {kind} are in this list ?",
    "find all {kind} in this line : {things} .",
)
RESERVED = ("please tell me the {kind} that you see here : {things} .", "{things} . show me only the {kind} .")
WANTED = {1: 1, 2: 2, 3: 3, 4: 4}
OTHERS = {1: 1, 2: 2, 3: 2, 4: 4}
KINDS = ("animals", "foods", "colors")


def make(random: np.random.Generator, world: World, level: int, phrasings: Sequence[str]) -> Item:
    """An item of this family at a level of difficulty, in one of `phrasings`."""
    kind, *rest = several(random, KINDS, 3)
    wanted = several(random, CLASSES[kind], WANTED[level])
    others = several(random, [word for name in rest for word in CLASSES[name]], OTHERS[level])
    things = several(random, [*wanted, *others], len(wanted) + len(others))
    answer = [word for word in things if word in wanted]
    wrong = (answer[:1], things, [*answer, others[0]])
    return Item(
        family=NAME,
        kind="answerable",
        turns=(pick(random, phrasings).format(kind=kind, things=enumeration(things)),),
        right=(enumeration(answer) + " .",),
        faulty=tuple(enumeration(words) + " ." for words in wrong if words != answer),
        truth={"words": tuple(answer)},
        level=level,
    )


def credit(item: Item, words: list[str]) -> Credit:
    """What the words of an answer earn by their content."""
    return Credit(overlap(mentioned(words, CLASS_OF), item.truth["words"]))
