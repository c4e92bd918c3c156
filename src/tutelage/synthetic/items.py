"""The prompts of a world and the way back from a prompt to its item: both made again from the seed, so gold needs only the prompt.

`prompts` deals the families in turn, so any first n are weighted equally; no prompt occurs twice, and none of them is demonstrated.
Held-out prompts are of three kinds (tag `heldout`): recombined skills, phrasings that no training prompt uses, and longer ones.
"""

from collections.abc import Iterator
from functools import cache
from itertools import count
from types import MappingProxyType
from typing import Literal, cast

from tutelage.core.errors import UserError
from tutelage.core.randomness import stream
from tutelage.core.text import Prompt
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
    recombined,
    silent,
    sorting,
    spells,
    stranger,
    summary,
    tale,
    translating,
)
from tutelage.synthetic.item import LEVELS, Family, Item, pick
from tutelage.synthetic.world import world

Split = Literal["train", "heldout"]

TRAINED: tuple[Family, ...] = cast(
    tuple[Family, ...],
    (
        page,
        silent,
        known,
        stranger,
        listing,
        summary,
        sorting,
        counting,
        polite,
        mixing,
        naming,
        translating,
        tale,
        spells,
        lookalike,
        followup,
    ),
)
FAMILIES: dict[str, Family] = {family.NAME: family for family in (*TRAINED, cast(Family, recombined))}
LONGER = cast(tuple[Family, ...], (listing, sorting, counting, naming, translating, page))
POOL: dict[Split, int] = {"train": 20500, "heldout": 1600}
"""How many prompts a world has."""


@cache
def pool(split: Split, seed: int) -> tuple[Item, ...]:
    """All items of a split, in dealing order. About a second."""
    seen: set[str] = set()
    items: list[Item] = []
    for n in range(POOL[split]):
        item = next(item for item in _tries(split, seed, n) if item.prompt.id not in seen)
        seen.add(item.prompt.id)
        items.append(item)
    return tuple(items)


def _tries(split: Split, seed: int, n: int) -> Iterator[Item]:
    for attempt in count():
        random = stream("prompts", split, seed, n, attempt)
        if split == "train":
            family, level, heldout = TRAINED[n % len(TRAINED)], pick(random, LEVELS), ""
        else:
            family, level, heldout = _heldout(n)
        phrasings = family.RESERVED if heldout in ("phrasing", "recombined") else family.PHRASINGS
        item = family.make(random, world(seed), level or pick(random, LEVELS), phrasings)
        yield item if heldout == item.heldout else _marked(item, heldout)


def _heldout(n: int) -> tuple[Family, int, str]:
    """Half unseen phrasings, a quarter longer, a quarter recombined. Level 0: any."""
    match n % 4:
        case 0 | 1:
            return TRAINED[n // 4 * 2 % len(TRAINED) + n % 4], 0, "phrasing"
        case 2:
            return LONGER[n // 4 % len(LONGER)], 4, "longer"
        case _:
            return FAMILIES["recombined"], 0, "recombined"


def _marked(item: Item, heldout: str) -> Item:
    return Item(item.family, item.kind, item.turns, item.right, item.faulty, item.truth, item.level, heldout)


def prompts(n: int | None = None, seed: int = 0, split: Split = "train") -> list[Prompt]:
    """The first n prompts of a split (all of them when None). Tags: family, kind, level, and heldout on held-out ones.

    UserError when the world has fewer.
    """
    items = pool(split, seed)
    if n is not None and n > len(items):
        raise UserError(f"synthetic:prompts has {len(items)} {split} prompts, not {n}; ask for fewer")
    return [item.prompt for item in items[:n]]


@cache
def index(seed: int) -> MappingProxyType[str, Item]:
    """Every item of a world by the id of its prompt."""
    return MappingProxyType({item.prompt.id: item for split in POOL for item in pool(split, seed)})


def item_of(prompt: Prompt, seed: int = 0) -> Item:
    """The item behind a prompt of this world. UserError when there is none: gold knows only its own prompts."""
    try:
        return index(seed)[prompt.id]
    except KeyError:
        raise UserError(f"prompt {prompt.id} ({prompt.last[:60]!r}) is not one of synthetic:prompts with seed {seed}") from None
