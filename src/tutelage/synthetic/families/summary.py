"""Sum up a page about one person in one sentence that keeps every fact. The dial is the number of facts, 2 to 4, then 5."""

from collections.abc import Sequence

import numpy as np

from tutelage.synthetic import lexicon
from tutelage.synthetic.item import Item, pick, several
from tutelage.synthetic.lexicon import CLASS_OF
from tutelage.synthetic.scores import STOPS, Credit, mentioned, overlap
from tutelage.synthetic.world import ATTRIBUTES, SENTENCES, Fact, World

NAME = "summary"
PHRASINGS = (
    "sum up in one sentence : {page}",
    "{page} say it in one sentence .",
    "{page} make this short .",
    "write one sentence about {name} : {page}",
)
RESERVED = ("{page} please tell me this in only one sentence .", "who is {name} ? use one sentence . {page}")
FILLERS = (
    "it is a nice {time} .",
    "the sun shines .",
    "snow falls on the road .",
    "the people of the village know {name} .",
    "{name} walks to the river .",
)
MORE_THAN_ONE = 0.6


def sentence(facts: Sequence[Fact]) -> str:
    """anna lives at the mill , has a cat and likes plums ."""
    parts = [SENTENCES[f.attribute].format(name="", value=f.value).removesuffix(" .").strip() for f in facts]
    return f"{facts[0].name} " + " , ".join(parts[:-1]) + f" and {parts[-1]} ."


def make(random: np.random.Generator, world: World, level: int, phrasings: Sequence[str]) -> Item:
    """An item of this family at a level of difficulty, in one of `phrasings`."""
    name = pick(random, lexicon.STRANGERS)
    attributes = several(random, list(ATTRIBUTES), level + 1)
    facts = [Fact(name, a, pick(random, ATTRIBUTES[a])) for a in attributes]
    lines = [f.sentence for f in facts]
    filler = pick(random, FILLERS).format(name=name, time=pick(random, lexicon.TIMES))
    lines.insert(int(random.integers(len(lines) + 1)), filler)
    return Item(
        family=NAME,
        kind="answerable",
        turns=(pick(random, phrasings).format(page=" ".join(lines), name=name),),
        right=(sentence(facts),),
        faulty=(facts[0].sentence, " ".join(lines[:2]), " ".join(lines)),
        truth={"name": name, "values": tuple(f.value for f in facts)},
        level=level,
    )


def credit(item: Item, words: list[str]) -> Credit:
    """F1 of the values, a quarter of it for the name; less for more than one sentence."""
    name = float(mentioned(words, (*lexicon.VILLAGERS, *lexicon.STRANGERS)) == [item.truth["name"]])
    kept = overlap(mentioned(words, CLASS_OF), item.truth["values"])
    one = sum(word in STOPS for word in words) <= 1
    return Credit((0.75 + 0.25 * name) * kept * (1.0 if one else MORE_THAN_ONE))
