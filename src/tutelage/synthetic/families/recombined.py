"""Held out: two trained skills in one task, never demonstrated together. Sort, and count; list, and translate; mix, and translate.

Credit is the F1 of the longest common subsequence, so order counts and half of the task earns about two thirds.
"""

from collections.abc import Sequence

import numpy as np

from tutelage.synthetic.families import page, translating
from tutelage.synthetic.item import Item, enumeration, pick, several
from tutelage.synthetic.lexicon import ANIMALS, DIGITS, FOODS, TRANSLATED
from tutelage.synthetic.scores import Credit
from tutelage.synthetic.world import World

NAME = "recombined"
PHRASINGS = ()
RESERVED = ("{first} then {second}", "{first} and then {second}", "first {first} now {second}", "do this : {first} after that {second}")
FARTHEST = 200
"""Words beyond this are not read; they cost by brevity."""


def make(random: np.random.Generator, world: World, level: int, phrasings: Sequence[str]) -> Item:
    """An item of this family at a level of difficulty, in one of `phrasings`."""
    first, second, parts = pick(random, (_sort_and_count, _list_and_translate, _two_questions))(random, world)
    return Item(
        family=NAME,
        kind="answerable",
        turns=(pick(random, phrasings).format(first=first, second=second),),
        right=(" ".join(parts),),
        faulty=(parts[0], parts[1]),
        truth={"words": tuple(word for part in parts for word in part.split() if word not in {",", "."})},
        level=level,
        heldout="recombined",
    )


def _sort_and_count(random: np.random.Generator, world: World) -> tuple[str, str, tuple[str, str]]:
    digits = several(random, DIGITS, int(random.integers(2, 5)))
    return f"sort {' '.join(digits)} from low to high .", "count the digits .", (f"{' '.join(sorted(digits))} .", f"{len(digits)} .")


def _list_and_translate(random: np.random.Generator, world: World) -> tuple[str, str, tuple[str, str]]:
    animals = several(random, [a for a in ANIMALS if a in TRANSLATED], 2)
    things = several(random, [*animals, *several(random, FOODS, 2)], 4)
    wanted = tuple(word for word in things if word in animals)
    return (
        f"list all animals : {enumeration(things)} .",
        "say them in the second language .",
        (enumeration(wanted) + " .", translating.pairs(wanted, [world.dictionary[word] for word in wanted])),
    )


def _two_questions(random: np.random.Generator, world: World) -> tuple[str, str, tuple[str, str]]:
    lines = page.facts(random, 2, 4)
    a, b = several(random, lines, 2)
    ask = [pick(random, page.QUESTIONS[f.attribute]).format(name=f.name) for f in (a, b)]
    return f"{page.page(lines)} {ask[0]}", ask[1], (a.sentence, b.sentence)


def credit(item: Item, words: list[str]) -> Credit:
    """What the words of an answer earn by their content."""
    wanted: tuple[str, ...] = item.truth["words"]
    found = [word for word in words if word not in {",", "."}][:FARTHEST]
    return Credit(2 * common(found, wanted) / (len(found) + len(wanted)))


def common(a: Sequence[str], b: Sequence[str]) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(b) + 1)
    for x in a:
        before = row
        row = [0]
        for j, y in enumerate(b):
            row.append(before[j] + 1 if x == y else max(before[j + 1], row[j]))
    return row[-1]
