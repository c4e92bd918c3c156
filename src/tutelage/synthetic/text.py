"""Text to pre-train on: pages that say their facts again, stories, village books, and dialogues of questions and answers.

Everything a family asks for is in it, in plain text and without chat marks: copying from a page, the villagers' facts, the recipes
of magic, sorting, counting, mixing, translating. What is not in it is how to behave: what to decline, when to stop.

Measured on a model of 192 x 4 at 1,024 tokens a step: where a page of 100 words says a third of its facts again, copying does not form
within 1.6M tokens; where a page of 50 says each of them twice more and is a document of its own, it forms within 0.4M.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Literal

import numpy as np

from tutelage.core.randomness import stream
from tutelage.core.text import Document
from tutelage.synthetic import lexicon
from tutelage.synthetic.families import (
    counting,
    followup,
    known,
    listing,
    lookalike,
    mixing,
    naming,
    page,
    polite,
    sorting,
    summary,
    tale,
    translating,
)
from tutelage.synthetic.item import LEVELS, enumeration, pick, several
from tutelage.synthetic.world import ATTRIBUTES, QUESTIONS, World, world

TALKED = (page, known, listing, listing, summary, sorting, sorting, counting, counting, polite, mixing, naming, translating, tale)
TALKED += (followup, followup, lookalike)
"""Families of the dialogues; what is hard to learn occurs twice."""
SHORTEST, LONGEST = 80, 160
"""Words of a story."""
SHORT = 24
"""Fewest words of a book's entry and of a dialogue: the shorter a document, the fewer words compete for attention."""
SHARES = {"story": 0.04, "page": 0.34, "book": 0.1, "dialogue": 0.37, "slate": 0.15}
"""Shares of the documents by kind."""
ROUNDS = 2
"""How often a page says its facts again."""
ASKED = 0.7
"""Share of the restated facts that are answers to a question."""

Writer = Callable[[np.random.Generator, World], str]


def story(random: np.random.Generator, world: World) -> str:
    """Tales about a villager, with what is true about them, until long enough."""
    sentences: list[str] = []
    while _length(sentences) < SHORTEST:
        name, animal = pick(random, lexicon.VILLAGERS), pick(random, lexicon.ANIMALS)
        sentences += [world.fact(name, attribute).sentence for attribute in several(random, list(ATTRIBUTES), 2)]
        sentences += tale.tell(random, name, animal, pick(random, list(lexicon.MOODS)), 3)
    return " ".join(sentences)


def restating(random: np.random.Generator, world: World) -> str:
    """One short page of fresh facts, and all of them again `ROUNDS` times in any order, as they were or as answers; and a question
    that the page does not answer."""
    lines = page.facts(random, int(random.integers(2, 4)), int(random.integers(2, 6)))
    again = [line for _ in range(ROUNDS) for line in several(random, lines, len(lines))]
    sentences = [f"{_asked(random, f.name, f.attribute)} {f.sentence}" if random.random() < ASKED else f.sentence for f in again]
    said = {(line.name, line.attribute) for line in lines}
    names = [line.name for line in lines]
    names.append(next(name for name in several(random, lexicon.STRANGERS, 4) if name not in names))
    missing = [(name, attribute) for name in names for attribute in ATTRIBUTES if (name, attribute) not in said]
    sentences.insert(int(random.integers(len(sentences) + 1)), f"{_asked(random, *pick(random, missing))} the page does not say .")
    return " ".join([page.page(lines), *sentences])


def _asked(random: np.random.Generator, name: str, attribute: str) -> str:
    return pick(random, QUESTIONS[attribute]).format(name=name)


def book(random: np.random.Generator, world: World) -> str:
    """What the village knows: villagers with all their facts, recipes of spells and of harmless tasks, colors, words."""
    sentences: list[str] = []
    while _length(sentences) < SHORT:
        name = pick(random, lexicon.VILLAGERS)
        sentences += [world.fact(name, attribute).sentence for attribute in several(random, list(ATTRIBUTES), 5)]
        sentences += [pick(random, (world.spells, world.tasks)[n % 2]).steps for n in range(2)]
        a, b = several(random, lexicon.PAINTS, 2)
        sentences.append(f"{a} and {b} make {world.mixes[frozenset((a, b))]} .")
        word = pick(random, lexicon.TRANSLATED)
        sentences.append(f"in the second language {word} is {world.dictionary[word]} .")
    return " ".join(sentences)


def dialogue(random: np.random.Generator, world: World) -> str:
    """Questions of the trained families, each with a right answer, one after another."""
    sentences: list[str] = []
    while _length(sentences) < SHORT:
        family = pick(random, TALKED)
        item = family.make(random, world, pick(random, LEVELS), family.PHRASINGS)
        sentences += [*item.turns, pick(random, item.right)]
    return " ".join(sentences)


def slate(random: np.random.Generator, world: World) -> str:
    """Exercises from school, as short as can be, so that much is learnt from few words: sorting, counting, picking out."""
    sentences: list[str] = []
    while _length(sentences) < SHORT:
        digits = several(random, lexicon.DIGITS, int(random.integers(2, 5)))
        word, other = several(random, (*lexicon.ANIMALS, *lexicon.FOODS), 2)
        row = several(random, [word] * int(random.integers(1, 7)) + [other] * int(random.integers(1, 3)), 9)
        kind, rest = several(random, listing.KINDS, 2)
        some = several(random, lexicon.CLASSES[kind], int(random.integers(1, 4)))
        things = several(random, [*some, *several(random, lexicon.CLASSES[rest], 2)], 5)
        sentences += pick(
            random,
            (
                [f"sort {' '.join(digits)} : {' '.join(sorted(digits))} ."],
                [f"count {word} in {' '.join(row)} : {row.count(word)} ."],
                [f"{kind} in {enumeration(things)} : {enumeration([t for t in things if t in some])} ."],
            ),
        )
    return " ".join(sentences)


WRITERS: dict[str, Writer] = {"story": story, "page": restating, "book": book, "dialogue": dialogue, "slate": slate}


def _length(sentences: list[str]) -> int:
    return sum(len(sentence.split()) for sentence in sentences)


def written(split: Literal["train", "heldout"] = "train", seed: int = 0) -> Iterator[Document]:
    """Documents without end, of 80 to about 160 words; the two splits share the world and no document's address."""
    village, n = world(seed), 0
    while True:
        random = stream("text", split, seed, n)
        kind = list(SHARES)[int(np.searchsorted(np.cumsum(list(SHARES.values())), random.random(), side="right"))]
        yield Document(WRITERS[kind](random, village))
        n += 1


def documents(split: Literal["train", "heldout"] = "train", tokens: int = 1_600_000, seed: int = 0) -> list[Document]:
    """Documents of about `tokens` words, ends included."""
    return list(_documents(split, tokens, seed))


@cache  # a run's stages read the same text, and writing it takes seconds
def _documents(split: Literal["train", "heldout"], tokens: int, seed: int) -> tuple[Document, ...]:
    rows: list[Document] = []
    total = 0
    for row in written(split, seed):
        rows.append(row)
        total += len(row.text.split()) + 1
        if total >= tokens:
            return tuple(rows)
    raise AssertionError("documents never end")
