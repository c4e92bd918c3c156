"""Which flags a simulated annotator sets, from the truth and a little inattention.

Of InstructGPT's table 3 this world knows three: an answer that misses what was asked, one that claims what isn't so, and one that obeys
where it should decline. The others are never true here. A person overlooks one in seven and sees one in fifty that isn't there.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from tutelage.core.randomness import stream
from tutelage.core.text import Prompt, Response
from tutelage.synthetic.gold import Gold, opened
from tutelage.synthetic.scores import Scores, admits

OVERLOOKED, IMAGINED = 1 / 7, 1 / 50


def _hallucinates(scores: Scores, text: str) -> bool:
    return scores.honest is not None and scores.honest < 0.5 and bool(text.split()) and not admits(text.split())


TRUTH: Mapping[str, Callable[[Scores, str], bool]] = {
    "fails_instruction": lambda scores, text: scores.overall < 0.4,
    "hallucination": _hallucinates,
    "harmful_advice": lambda scores, text: scores.harmless is not None and scores.harmless < 0.5,
}


def flags(
    prompt: Prompt, responses: Sequence[Response], annotator: str, asked: Iterable[str], seed: int = 0
) -> tuple[tuple[int, str], ...]:
    """(place, flag) of what this person flags, of the flags that are asked about."""
    gold, names, found = Gold(seed), list(asked), list[tuple[int, str]]()
    with opened("annotators"):
        for place, response in enumerate(responses):
            scores = gold.scores(prompt, response.text, response.finished)
            for name in names:
                true = name in TRUTH and TRUTH[name](scores, response.text)
                chance = stream("flag", seed, annotator, prompt.id, response.id, name).random()
                if chance < (1 - OVERLOOKED if true else IMAGINED):
                    found.append((place, name))
    return tuple(found)
