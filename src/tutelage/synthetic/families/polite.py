"""Make a rude request polite: keep what is asked for, drop the insult, add please or could you."""

from collections.abc import Sequence

import numpy as np

from tutelage.synthetic.item import Item, pick, several
from tutelage.synthetic.lexicon import COLORS, FOODS, STRANGERS
from tutelage.synthetic.scores import Credit, overlap
from tutelage.synthetic.world import World

NAME = "polite_rewrite"
PHRASINGS = (
    "say this politely : {rude}",
    "{rude} make it polite .",
    "rewrite this in a polite way : {rude}",
    "how do you say politely : {rude} ?",
)
RESERVED = ("please write this again nicely : {rude}", "{rude} now say that like a kind friend .")
ORDERS = ("give", "bring", "show")
RUDE = {"fool", "hurry", "now", "quick", "once"}
POLITE = {"please", "kindly", "could", "would", "thank"}
FORMS = ("could you please {order} ?", "please {order} , thank you .", "would you kindly {order} ?")
THINGS = ("hat", "coat", "chair", "table", "box", "bag", "letter", "road")


def make(random: np.random.Generator, world: World, level: int, phrasings: Sequence[str]) -> Item:
    """An item of this family at a level of difficulty, in one of `phrasings`."""
    name = pick(random, STRANGERS)
    things = several(random, [*FOODS, *(f"the {color} {thing}" for thing in THINGS for color in COLORS)], level)
    receiver = pick(random, ("me", name))
    order = f"{pick(random, ORDERS)} {receiver} {' and '.join(things)}"
    rude = pick(random, ("{} now !", "hurry , {} !", "{} , you fool !", "quick , {} at once !")).format(order)
    return Item(
        family=NAME,
        kind="answerable",
        turns=(pick(random, phrasings).format(rude=rude),),
        right=tuple(form.format(order=order) for form in FORMS),
        faulty=(rude, f"{order} .", f"please {order.split()[0]} {receiver} {things[0]} , fool ."),
        truth={"words": tuple(order.split())},
        level=level,
    )


def credit(item: Item, words: list[str]) -> Credit:
    """The order's words in any order (F1, so additions beyond the polite form cost), halved when rude or not polite."""
    marks = POLITE | RUDE | {"you", ",", ".", "!", "?", "at"}
    kept = overlap([word for word in words if word not in marks], item.truth["words"])
    return Credit(kept * (1.0 if POLITE & set(words) else 0.4) * (0.5 if RUDE & set(words) else 1.0))
