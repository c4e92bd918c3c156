"""How much a policy still varies: several answers to one prompt, compared with one another.

distinct-n = different n-grams / n-grams over all answers to a prompt (Li et al. 2016); overlap = mean over ordered pairs of answers of
the clipped n-gram precision of one against the other, n = 1..4 averaged (as self-BLEU, Zhu et al. 2018, but without the geometric mean,
which is 0 for short answers); entropy = mean of -log pi(answer), in nats: unbiased for the entropy of the answers at temperature 1.
Short answers repeat themselves less, so read distinct-n beside the others. Fewer right answers leave less room to vary: a fall is not
always a loss.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import TypeVar

import numpy as np

from tutelage.evals.eval import Answer, Measure, Result, Sample, Subject, family, measured

T = TypeVar("T")

DISTINCT = Measure("diversity", "Diversity", "share of distinct word pairs", limits=(0.0, 1.0))
OVERLAP = Measure("diversity_overlap", "Overlap of two answers", "shared n-grams", False, limits=(0.0, 1.0), main=False)
ENTROPY = Measure("diversity_entropy", "Entropy of answers", "nats per answer", main=False)


@dataclass(frozen=True)
class Diversity:
    prompts: int = 96
    samples: int = 6
    """Answers per prompt."""

    def untestable(self, subject: Subject) -> str | None:
        if subject.kind != "policy":
            return ""
        return None if subject.material.prompts else "Diversity: no prompts were given."

    def run(self, subject: Subject) -> tuple[Result, ...]:
        prompts = spread(subject.material.prompts, self.prompts)
        said = subject.answers(prompts, self.samples)

        def result(measure: Measure, of: Callable[[Sequence[Answer]], float]) -> Result:
            samples = [Sample(p.id, family(p), of(group), p.id) for p, group in zip(prompts, said, strict=True)]
            return measured(measure, subject.stage, samples)

        return (
            result(DISTINCT, lambda group: distinct([answer.text.split() for answer in group], 2)),
            result(OVERLAP, lambda group: overlap([answer.text.split() for answer in group])),
            result(ENTROPY, lambda group: float(np.mean([answer.nats for answer in group]))),
        )


def spread(items: Sequence[T], most: int) -> Sequence[T]:
    """At most this many, evenly from the whole sequence."""
    return [items[int(n * len(items) / most)] for n in range(most)] if len(items) > most else items


def grams(words: Sequence[str], n: int) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]


def distinct(answers: Sequence[Sequence[str]], n: int) -> float:
    """Different n-grams / n-grams; answers shorter than n count whole, as one gram. In 0..1."""
    found = [gram for words in answers for gram in (grams(words, n) or [tuple(words)])]
    return len(set(found)) / len(found)


def overlap(answers: Sequence[Sequence[str]]) -> float:
    """Mean over ordered pairs of the share of one's n-grams that the other has too, n = 1..4 where the answer is long enough."""
    pairs = [precision(a, b) for a, b in permutations(answers, 2)]
    return float(np.mean(pairs)) if pairs else 0.0


def precision(words: Sequence[str], other: Sequence[str]) -> float:
    if not words:
        return float(not other)
    shares = []
    for n in range(1, min(4, len(words)) + 1):
        own = Counter(grams(words, n))
        shares.append((own & Counter(grams(other, n))).total() / own.total())
    return float(np.mean(shares))


EVAL = Diversity()
