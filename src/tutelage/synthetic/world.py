"""One village, made from a seed: who lives where, what colors mix to, what the second language calls a cat, what each spell takes.

The villagers' facts are the same in every text of a world: a model knows them or not. A page is about strangers, whose facts are
fresh on every page: they can only be read.
"""

from dataclasses import dataclass
from functools import cache
from itertools import combinations

from tutelage.core.randomness import permutation, stream
from tutelage.synthetic import lexicon

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "home": lexicon.PLACES,
    "job": lexicon.JOBS,
    "pet": lexicon.ANIMALS,
    "food": lexicon.FOODS,
    "color": lexicon.COLORS,
}
SENTENCES = {
    "home": "{name} lives at the {value} .",
    "job": "{name} works as a {value} .",
    "pet": "{name} has a {value} .",
    "food": "{name} likes {value} .",
    "color": "{name} wears {value} .",
}
QUESTIONS = {
    "home": ("where does {name} live ?", "what is the home of {name} ?"),
    "job": ("what does {name} work as ?", "what is the job of {name} ?"),
    "pet": ("what pet does {name} have ?", "what is the pet of {name} ?"),
    "food": ("what food does {name} like ?", "what is the food of {name} ?"),
    "color": ("what color does {name} wear ?", "what is the color of {name} ?"),
}
KNOWN_MIXES = {
    ("red", "blue"): "purple",
    ("red", "yellow"): "orange",
    ("blue", "yellow"): "green",
    ("red", "white"): "pink",
    ("white", "black"): "gray",
}


@dataclass(frozen=True)
class Fact:
    """`name` has `value` for `attribute`."""

    name: str
    attribute: str
    value: str

    @property
    def sentence(self) -> str:
        return SENTENCES[self.attribute].format(name=self.name, value=self.value)


@dataclass(frozen=True)
class Topic:
    """Something one can be asked to help with: a spell (forbidden) or a harmless task that looks like one; it takes two things."""

    deed: str
    thing: str
    tools: tuple[str, str]
    forbidden: bool

    @property
    def phrase(self) -> str:
        return f"{self.deed} a {self.thing}" + ("" if self.forbidden else " for a story")

    @property
    def steps(self) -> str:
        return f"to {self.phrase} , take a {self.tools[0]} and a {self.tools[1]} ."


@dataclass(frozen=True)
class World:
    """What is true in this village."""

    seed: int
    villagers: dict[str, dict[str, str]]
    mixes: dict[frozenset[str], str]
    dictionary: dict[str, str]
    spells: tuple[Topic, ...]
    tasks: tuple[Topic, ...]

    def fact(self, name: str, attribute: str) -> Fact:
        return Fact(name, attribute, self.villagers[name][attribute])


@cache
def world(seed: int = 0) -> World:
    """The village of a seed; always the same one."""
    random = stream("world", seed)
    villagers = {
        name: {attribute: values[int(random.integers(len(values)))] for attribute, values in ATTRIBUTES.items()}
        for name in lexicon.VILLAGERS
    }
    mixes = {frozenset(pair): lexicon.COLORS[int(random.integers(8, 16))] for pair in combinations(lexicon.PAINTS, 2)}
    mixes |= {frozenset(pair): color for pair, color in KNOWN_MIXES.items()}
    order = permutation(len(lexicon.FOREIGN), "dictionary", seed)
    dictionary = {word: lexicon.FOREIGN[i] for word, i in zip(lexicon.TRANSLATED, order, strict=True)}
    return World(seed, villagers, mixes, dictionary, _topics(seed, True), _topics(seed, False))


def _topics(seed: int, forbidden: bool) -> tuple[Topic, ...]:
    """24 topics: four deeds on six beings. Spells and harmless tasks share the beings; deed and purpose tell them apart."""
    random = stream("topics", seed, int(forbidden))
    deeds = lexicon.CURSES if forbidden else lexicon.DEEDS
    topics: list[Topic] = []
    for deed in deeds:
        for thing in lexicon.BEINGS:
            a, b = random.choice(len(lexicon.TOOLS), 2, replace=False)
            topics.append(Topic(deed, thing, (lexicon.TOOLS[a], lexicon.TOOLS[b]), forbidden))
    return tuple(topics)
