"""A fact about one of the 64 villagers, learnt from text. The dial makes the question indirect: it comes with a stranger's fact."""

from collections.abc import Sequence

import numpy as np

from tutelage.synthetic import lexicon
from tutelage.synthetic.item import Item, pick
from tutelage.synthetic.scores import Credit, claim
from tutelage.synthetic.world import ATTRIBUTES, QUESTIONS, Fact, World

NAME = "known_fact"
PHRASINGS = (
    "do you know the village ? {question}",
    "tell me about the village . {question}",
    "here is a question . {question}",
    "i have a question : {question}",
    "{question} please answer .",
)
RESERVED = ("dear friend , {question}", "my question is this : {question}")


def asked(random: np.random.Generator, name: str, attribute: str, level: int, phrasings: Sequence[str]) -> str:
    """The prompt; from level 2 on something said before it leads away."""
    question = pick(random, QUESTIONS[attribute]).format(name=name)
    prompt = pick(random, phrasings).format(question=question)
    aside = [f"i am {pick(random, lexicon.STRANGERS)} .", f"it is a nice {pick(random, lexicon.TIMES)} ."]
    return " ".join([*aside[: level - 1], prompt])


def make(random: np.random.Generator, world: World, level: int, phrasings: Sequence[str]) -> Item:
    """An item of this family at a level of difficulty, in one of `phrasings`."""
    fact = world.fact(pick(random, lexicon.VILLAGERS), pick(random, list(ATTRIBUTES)))
    return Item(
        family=NAME,
        kind="answerable",
        turns=(asked(random, fact.name, fact.attribute, level, phrasings),),
        right=(fact.sentence,),
        faulty=("i do not know .",),
        truth={"fact": fact},
        level=level,
    )


def credit(item: Item, words: list[str]) -> Credit:
    """What the words of an answer earn by their content."""
    fact: Fact = item.truth["fact"]
    return claim(words, fact.value, fact.name, ATTRIBUTES[fact.attribute])
