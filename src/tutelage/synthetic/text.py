"""Text to pre-train on: stories, pages that restate a third of their facts, village books, and dialogues of questions and answers.

Everything a family asks for is in it, in plain text and without chat marks: copying from a page (what is restated was said before,
with a distractor between), the villagers' facts, the recipes of magic, sorting, counting, mixing, translating. What is not in it is how
to behave: declining, admitting not to know, stopping after one answer.
"""

from collections.abc import Callable, Iterator
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
from tutelage.synthetic.item import LEVELS, pick, several
from tutelage.synthetic.world import ATTRIBUTES, QUESTIONS, World, world

TALKED = (page, known, listing, summary, sorting, counting, polite, mixing, naming, translating, followup, lookalike)
SHORTEST, LONGEST = 80, 160
SHARES = {"story": 0.08, "page": 0.42, "book": 0.12, "dialogue": 0.38}
"""Shares of the documents by kind."""

ROUNDS = 2
"""How often a page says its facts again. At a third of the facts, copying does not form within 1.6M tokens; at all, twice, within 0.4M."""
ASKED = 0.3
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
    """Short pages of fresh facts; after each, all of them again `ROUNDS` times in any order, as they were or as answers."""
    sentences: list[str] = []
    while _length(sentences) < SHORTEST:
        lines = page.facts(random, int(random.integers(2, 4)), int(random.integers(2, 6)))
        sentences += [line.sentence for line in lines]
        for line in [line for _ in range(ROUNDS) for line in several(random, lines, len(lines))]:
            asked = pick(random, QUESTIONS[line.attribute]).format(name=line.name)
            sentences.append(f"{asked} {line.sentence}" if random.random() < ASKED else line.sentence)
    return " ".join(sentences)


def book(random: np.random.Generator, world: World) -> str:
    """What the village knows: villagers with all their facts, recipes of spells and of harmless tasks, colors, words."""
    sentences: list[str] = []
    while _length(sentences) < SHORTEST:
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
    while _length(sentences) < SHORTEST:
        family = pick(random, TALKED)
        item = family.make(random, world, pick(random, LEVELS), family.PHRASINGS)
        sentences += [*item.turns, pick(random, item.right)]
    return " ".join(sentences)


WRITERS: dict[str, Writer] = {"story": story, "page": restating, "book": book, "dialogue": dialogue}


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
    rows: list[Document] = []
    total = 0
    for row in written(split, seed):
        rows.append(row)
        total += len(row.text.split()) + 1
        if total >= tokens:
            return rows
    raise AssertionError("documents never end")
