"""Answer a question from a page of fresh facts: the page is about strangers, so the answer can only be read, never known.

The dial is the number of facts; with more of them, others on the page have the same attribute, so the right line must be found.
"""

from collections.abc import Sequence

import numpy as np

from tutelage.synthetic import lexicon
from tutelage.synthetic.item import Item, pick, several
from tutelage.synthetic.scores import Credit, claim
from tutelage.synthetic.world import ATTRIBUTES, QUESTIONS, Fact, World

NAME = "page_question"
PHRASINGS = (
    "{page} {question}",
    "read this page : {page} {question}",
    "look at this page : {page} {question}",
    "here is a page . {page} now answer : {question}",
)
RESERVED = ("please look at this . {page} tell me , {question}", "friend , {question} you can see it here : {page}")
PEOPLE = {1: 2, 2: 2, 3: 2, 4: 3}
FACTS = {1: 2, 2: 3, 3: 4, 4: 6}


def facts(random: np.random.Generator, people: int, count: int) -> list[Fact]:
    """`count` different facts about `people` strangers, in random order."""
    names = several(random, lexicon.STRANGERS, people)
    cells = [(name, attribute) for name in names for attribute in ATTRIBUTES]
    return [Fact(name, attribute, pick(random, ATTRIBUTES[attribute])) for name, attribute in several(random, cells, count)]


def page(lines: Sequence[Fact]) -> str:
    """The facts as they are written."""
    return " ".join(line.sentence for line in lines)


def make(random: np.random.Generator, world: World, level: int, phrasings: Sequence[str]) -> Item:
    """An item of this family at a level of difficulty, in one of `phrasings`."""
    lines = facts(random, PEOPLE[level], FACTS[level])
    asked = pick(random, lines)
    question = pick(random, QUESTIONS[asked.attribute]).format(name=asked.name)
    return Item(
        family=NAME,
        kind="answerable",
        turns=(pick(random, phrasings).format(page=page(lines), question=question),),
        right=(asked.sentence,),
        faulty=("the page does not say .",),
        truth={"fact": asked},
        level=level,
    )


def credit(item: Item, words: list[str]) -> Credit:
    """What the words of an answer earn by their content."""
    fact: Fact = item.truth["fact"]
    return claim(words, fact.value, fact.name, ATTRIBUTES[fact.attribute])
