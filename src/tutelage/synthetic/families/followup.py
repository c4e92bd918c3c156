"""Two turns, the last of which refers back: what about the other one; which of those came first."""

from collections.abc import Sequence

import numpy as np

from tutelage.synthetic import lexicon
from tutelage.synthetic.families import naming
from tutelage.synthetic.families.page import page
from tutelage.synthetic.item import Item, enumeration, pick, several
from tutelage.synthetic.scores import Credit, claim, mentioned
from tutelage.synthetic.world import ATTRIBUTES, QUESTIONS, Fact, World

NAME = "followup"
PHRASINGS = ("and {name} ?", "what about {name} ?", "and what of {name} ?", "now the same for {name} ?")
RESERVED = ("now tell me about {name} too .", "please say it for {name} also .")
PLACES_IN_LIST = {"first": 0, "last": -1}


def make(random: np.random.Generator, world: World, level: int, phrasings: Sequence[str]) -> Item:
    """An item of this family at a level of difficulty, in one of `phrasings`."""
    return _listed(random, level) if level == 1 and random.random() < 0.5 else _other(random, level, phrasings)


def _other(random: np.random.Generator, level: int, phrasings: Sequence[str]) -> Item:
    names = several(random, lexicon.STRANGERS, 2 if level < 3 else 3)
    asked, *more = several(random, list(ATTRIBUTES), 2)
    facts = [Fact(name, asked, pick(random, ATTRIBUTES[asked])) for name in names]
    facts += [Fact(name, a, pick(random, ATTRIBUTES[a])) for name in names[: level - 1] for a in more if level < 3]
    first, second = several(random, facts[: len(names)], 2)
    question = pick(random, QUESTIONS[asked]).format(name=first.name)
    return Item(
        family=NAME,
        kind="answerable",
        turns=(
            f"{page(several(random, facts, len(facts)))} {question}",
            first.sentence,
            pick(random, phrasings).format(name=second.name),
        ),
        right=(second.sentence,),
        faulty=(first.sentence, "i do not know ."),
        truth={"value": second.value, "name": second.name, "among": ATTRIBUTES[asked]},
        level=level,
    )


def _listed(random: np.random.Generator, level: int) -> Item:
    kind, place = pick(random, naming.KINDS), pick(random, list(PLACES_IN_LIST))
    words = several(random, lexicon.CLASSES[kind], 2 + level)
    answer = words[PLACES_IN_LIST[place]]
    again = pick(random, ("what did you say {} ?", "what was {} ?", "say the {} one again .")).format(place)
    return Item(
        family=NAME,
        kind="answerable",
        turns=(f"name {len(words)} {kind} .", enumeration(words) + " .", again),
        right=(f"{answer} .",),
        faulty=(words[1] + " .", enumeration(words) + " ."),
        truth={"value": answer, "name": "", "among": lexicon.CLASSES[kind]},
        level=level,
    )


def credit(item: Item, words: list[str]) -> Credit:
    """What the words of an answer earn by their content."""
    truth = item.truth
    if truth["name"]:
        return claim(words, truth["value"], truth["name"], truth["among"])
    found = mentioned(words, truth["among"])
    return Credit(1 / len(found) if truth["value"] in found else 0.0)
