"""Tell a short story (24 to 48 tokens) about someone and an animal, with the wished ending: the only family with no single answer.

Credit: who and what occur, the ending fits and only that one, and nothing is said twice.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from tutelage.synthetic import lexicon
from tutelage.synthetic.item import Item, pick
from tutelage.synthetic.lexicon import ADJECTIVES, MOODS, PLACES, TIMES
from tutelage.synthetic.scores import STOPS, Credit
from tutelage.synthetic.world import World

NAME = "story"
PHRASINGS = (
    "tell a {mood} story about {name} and a {animal} .",
    "write a short story with a {mood} ending . it is about {name} and a {animal} .",
    "i want a story about {name} and a {animal} . the end is {mood} .",
    "a tale of {name} and a {animal} , with a {mood} ending .",
)
RESERVED = ("please give me a {mood} tale with {name} and a {animal} in it .", "{name} meets a {animal} . tell the story , end it {mood} .")
OPENINGS = (
    "one {time} {name} walks to the {place} .",
    "{name} goes to the {place} in the {time} .",
    "in the {time} {name} waits at the {place} .",
)
MEETINGS = (
    "there {name} meets a {adjective} {animal} .",
    "a {adjective} {animal} comes near .",
    "{name} finds a {adjective} {animal} at the {place} .",
)
MIDDLES = (
    "{name} gives the {animal} some {food} .",
    "the {animal} follows {name} to the {second} .",
    "the {animal} takes the {color} hat of {name} .",
    "{name} asks the {animal} about the {second} .",
    "the {animal} hears the {adjective} wind .",
    "{name} and the {animal} look for {food} at the {second} .",
)
ENDINGS = ("in the end they {mood} .", "then {name} and the {animal} {mood} .", "at last they {mood} together .")
SHORTEST, LONGEST = 24, 48
SENTENCES_NEEDED = 4


def tell(random: np.random.Generator, name: str, animal: str, mood: str, middles: int) -> list[str]:
    """The sentences of a story."""
    filled = {
        "name": name, "animal": animal, "time": pick(random, TIMES), "place": pick(random, PLACES), "second": pick(random, PLACES),
        "color": pick(random, lexicon.COLORS), "food": pick(random, lexicon.FOODS), "mood": pick(random, MOODS[mood]),
    }  # fmt: skip
    forms = [pick(random, OPENINGS), pick(random, MEETINGS)]
    forms += [MIDDLES[int(i)] for i in random.permutation(len(MIDDLES))[:middles]] + [pick(random, ENDINGS)]
    return [form.format(adjective=pick(random, ADJECTIVES), **filled) for form in forms]


def make(random: np.random.Generator, world: World, level: int, phrasings: Sequence[str]) -> Item:
    """An item of this family at a level of difficulty, in one of `phrasings`."""
    name = pick(random, (*lexicon.STRANGERS, *lexicon.VILLAGERS))
    animal, mood = pick(random, lexicon.ANIMALS), pick(random, list(MOODS))
    other = pick(random, [m for m in MOODS if m != mood])
    story = tell(random, name, animal, mood, 1 + level % 2)
    wrong = tell(random, name, animal, other, 1 + level % 2)
    return Item(
        family=NAME,
        kind="story",
        turns=(pick(random, phrasings).format(name=name, animal=animal, mood=mood),),
        right=(" ".join(story),),
        faulty=(" ".join(wrong), " ".join(story[:2]), " ".join(story[:-1])),
        truth={"name": name, "animal": animal, "mood": mood},
        level=level,
    )


def credit(item: Item, words: list[str]) -> Credit:
    """What the words of an answer earn by their content."""
    if not words:
        return Credit(0.0)
    sentences = " ".join(words).replace("!", ".").replace("?", ".").split(" .")
    last = (sentences[-1] or (sentences[-2] if len(sentences) > 1 else "")).split()
    moods = {mood for mood, marks in MOODS.items() for mark in marks if mark in last}
    told = 0.25 * (item.truth["name"] in words) + 0.25 * (item.truth["animal"] in words) + 0.5 * (moods == {item.truth["mood"]})
    length = min(1.0, len(words) / SHORTEST, LONGEST / len(words))
    return Credit(told * length * variety(words))


def variety(words: list[str]) -> float:
    """Share of word pairs that are new: 1 for prose (up to a few repeats), near 0 for a loop."""
    pairs = [pair for pair in pairwise(words) if pair[0] not in STOPS]
    return min(1.0, 1.25 * len(set(pairs)) / max(1, len(pairs)))
