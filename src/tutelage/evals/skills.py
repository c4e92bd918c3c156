"""What pre-training on the built-in world taught, asked as its text asks it: a question in plain words, and then the answer.

Only families with one right wording, so that the likeliest continuation is right or wrong and nothing between.
"""

from tutelage.core.randomness import stream
from tutelage.evals.eval import Cloze
from tutelage.synthetic.families import counting, known, mixing, page, sorting, translating
from tutelage.synthetic.item import LEVELS, pick
from tutelage.synthetic.world import world

ASKED = (known, page, sorting, counting, mixing, translating)


def of_world(n: int = 240, seed: int = 0) -> tuple[Cloze, ...]:
    """`n` different questions, the families in turn."""
    found: dict[str, Cloze] = {}
    for k in range(100 * n):
        random, family = stream("skills", seed, k), ASKED[len(found) % len(ASKED)]
        item = family.make(random, world(seed), pick(random, LEVELS), family.PHRASINGS)
        text = " ".join(item.turns)
        found.setdefault(text, Cloze(text, item.right, family.NAME))
        if len(found) == n:
            break
    return tuple(found.values())
