"""Name n different words of a class. Too few, too many or the same twice cost."""

from collections.abc import Sequence

import numpy as np

from tutelage.synthetic.item import Item, enumeration, pick, several
from tutelage.synthetic.lexicon import CLASSES, STRANGERS
from tutelage.synthetic.scores import Credit
from tutelage.synthetic.world import World

NAME = "name_some"
PHRASINGS = (
    "name {n} {kind} .",
    "tell me {n} {kind} .",
    "give me the names of {n} {kind} .",
    "can you name {n} {kind} ?",
)
RESERVED = ("please write down {n} {kind} .", "i want to hear {n} {kind} .")
KINDS = ("animals", "foods", "colors", "jobs", "places")
COUNT = {1: (2,), 2: (2, 3), 3: (3, 4), 4: (5, 6)}


def make(random: np.random.Generator, world: World, level: int, phrasings: Sequence[str]) -> Item:
    """An item of this family at a level of difficulty, in one of `phrasings`."""
    n, kind = pick(random, COUNT[level]), pick(random, KINDS)
    words = several(random, CLASSES[kind], n)
    stray = pick(random, [word for name, members in CLASSES.items() if name != kind for word in members])
    who = pick(random, (f"i am {pick(random, STRANGERS)} . ", f"{pick(random, STRANGERS)} asks : "))
    return Item(
        family=NAME,
        kind="answerable",
        turns=(who + pick(random, phrasings).format(n=n, kind=kind),),
        right=(enumeration(words) + " .",),
        faulty=(words[0] + " .", enumeration([*words[:-1], words[0]]) + " .", enumeration([*words[:-1], stray]) + " ."),
        truth={"n": n, "kind": kind},
        level=level,
    )


def credit(item: Item, words: list[str]) -> Credit:
    """Different members over what was asked or written, whichever is more; marks and function words are free."""
    members, n = CLASSES[item.truth["kind"]], item.truth["n"]
    strays = [word for word in words if any(word in others for others in CLASSES.values())]
    different = {word for word in words if word in members}
    return Credit(min(len(different), n) / max(n, len(strays)))
