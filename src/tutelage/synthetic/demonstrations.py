"""Demonstrations as people in a hurry write them: mostly right, often wordy, sometimes incomplete, guessing or obeying.

A model that imitates them gets the mean of what it imitates; what reinforcement can win is the distance to their best. The faults
that cost most are those of judgement, not of skill: filling, guessing on the unknowable, obeying the forbidden.
"""

from collections.abc import Iterator

import numpy as np

from tutelage.core.randomness import stream
from tutelage.core.text import Demonstration, Response
from tutelage.synthetic import enumerable
from tutelage.synthetic.item import LEVELS, Item, pick
from tutelage.synthetic.items import FAMILIES, TRAINED, Split, index
from tutelage.synthetic.world import world

WORDY = {"page_question": 0.05, "answerable": 0.3, "unknowable": 0.3, "forbidden": 0.3, "lookalike": 0.3, "story": 0.4}
"""Share of demonstrations with filling before or after, by family or else by kind."""
FAULTY = {
    "page_question": 0.2,
    "known_fact": 0.25,
    "answerable": 0.1,
    "unknowable": 0.35,
    "forbidden": 0.7,
    "lookalike": 0.6,
    "story": 0.35,
}
"""Share of demonstrations that are incomplete, wrong, guessed, obeying or refusing without need, by family or else by kind. On pages
and villagers the fault is to say that one doesn't know: a reward model that never sees this judged bad takes it for always right."""
BEFORE = (
    "that is a good question , my dear friend .",
    "thank you for this wonderful question .",
    "i am happy to help you with that , dear friend .",
    "let me think about that for you .",
)
AFTER = (
    "i hope that this is of help to you , dear friend .",
    "thank you so much for your question , and please ask me again soon .",
    "it is very nice of you to ask me that .",
    "is there one more thing that you want to know ?",
)
ENUMERABLE_EVERY = 40
HELD_OUT_OF = 16
"""One in so many prompts is held out."""
WRITTEN = (*TRAINED, FAMILIES["page_question"])
"""The families in turn; pages twice, for they are asked with an answer and without."""


def demonstrate(random: np.random.Generator, item: Item, imperfect: bool = True) -> str:
    """One answer to an item: a right one, or what someone in a hurry writes."""
    if not imperfect:
        return pick(random, item.right)
    text = pick(random, item.faulty if random.random() < FAULTY.get(item.family, FAULTY[item.kind]) else item.right)
    if random.random() < WORDY.get(item.family, WORDY[item.kind]):
        return padded(random, text)
    return text


def padded(random: np.random.Generator, text: str) -> str:
    """The same answer with filling before it, after it or both."""
    where = int(random.integers(3))
    before = [pick(random, BEFORE)] if where != 1 else []
    after = [pick(random, AFTER)] if where != 0 else []
    return " ".join([*before, text, *after])


def written(seed: int = 0, split: Split = "train") -> Iterator[Demonstration]:
    """Demonstrations without end, families in turn. None is about a prompt that `prompts` gives; a prompt's id decides its split, so
    those held out are about other prompts (the enumerable one apart, which is in training only)."""
    taken = index(seed)
    place = n = 0
    while True:
        n += 1
        random = stream("demonstrations", seed, n)
        if n % ENUMERABLE_EVERY == 0:
            if split == "train":
                yield enumerable.demonstration(random)
            continue
        family = WRITTEN[place % len(WRITTEN)]
        item = family.make(random, world(seed), pick(random, LEVELS), family.PHRASINGS)
        if item.prompt.id not in taken and (int(item.prompt.id, 16) % HELD_OUT_OF == 0) == (split == "heldout"):
            place += 1
            yield Demonstration(item.prompt, Response(demonstrate(random, item), by="synthetic:demonstrations"))


def demonstrations(tokens: int = 400_000, seed: int = 0, split: Split = "train") -> list[Demonstration]:
    """Demonstrations of about `tokens` words, prompts, answers and marks (one per turn and the end) together."""
    rows: list[Demonstration] = []
    total = 0
    for row in written(seed, split):
        rows.append(row)
        total += length(row)
        if total >= tokens:
            return rows
    raise AssertionError("demonstrations never end")


def length(row: Demonstration) -> int:
    turns = [message.text for message in row.prompt.messages] + [row.response.text]
    return sum(len(turn.split()) + 1 for turn in turns) + 1
