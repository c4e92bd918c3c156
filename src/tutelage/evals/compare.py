"""Which of two stages is better: paired item by item, clustered by prompt, and said in words only when the interval says it.

An interval that includes 0 shows nothing, in either direction. Unpaired intervals of two stages are wider than that of their
difference, because both answered the same prompts; so overlapping whiskers prove nothing.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tutelage.core import statistics
from tutelage.core.errors import UserError
from tutelage.evals.eval import Measure, Result, Sample, on_scale, weights_of

Verdict = Literal["better", "worse", "not shown"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """a - b on the items that both were measured on; for a log measure the share by which a is above b.

    `family` is empty for the whole eval.
    """

    a: str
    b: str
    eval: str
    difference: float
    low: float
    high: float
    n: int
    verdict: Verdict
    family: str = ""


def compare(a: Result, b: Result) -> Comparison | None:
    """a - b; None where they share no items."""
    pairs = shared(a, b)
    return compare_items(a.measure, a.stage, b.stage, pairs) if pairs else None


def compare_families(a: Result, b: Result) -> list[Comparison]:
    """a - b in each family, worst first."""
    names = sorted({x.family for x, _ in shared(a, b)})
    if len(names) < 2:
        return []
    parts = [(name, [pair for pair in shared(a, b) if pair[0].family == name]) for name in names]
    found = [compare_items(a.measure, a.stage, b.stage, pairs, name) for name, pairs in parts]
    sign = 1 if a.measure.higher_is_better else -1
    return sorted(found, key=lambda c: sign * c.difference)


def shared(a: Result, b: Result) -> list[tuple[Sample, Sample]]:
    other = {sample.prompt: sample for sample in b.samples}
    return [(sample, other[sample.prompt]) for sample in a.samples if sample.prompt in other]


def compare_items(measure: Measure, a: str, b: str, pairs: Sequence[tuple[Sample, Sample]], family: str = "") -> Comparison:
    x, y = [first.value for first, _ in pairs], [second.value for _, second in pairs]
    own = [first for first, _ in pairs]
    weights = weights_of(measure, own)
    found = on_scale(measure, statistics.paired(x, y, [sample.cluster for sample in own], weights=weights), less=1.0)
    verdict = judged(found.low, found.high, measure.higher_is_better)
    return Comparison(a, b, measure.name, found.mean, found.low, found.high, found.n, verdict, family)


def judged(low: float, high: float, higher_is_better: bool) -> Verdict:
    if not (low > 0 or high < 0):
        return "not shown"
    return "better" if (low > 0) == higher_is_better else "worse"


def compare_all(results: Sequence[Result]) -> tuple[Comparison, ...]:
    """Every later stage with every earlier one, on every measure that both have."""
    found = [
        compare(later, earlier)
        for place, later in enumerate(results)
        for earlier in results[:place]
        if later.eval == earlier.eval and later.stage != earlier.stage
    ]
    return tuple(c for c in found if c is not None)


@dataclass(frozen=True, slots=True)
class Claim:
    """An effect that a recipe expects: `ppo > sft on overall by 0.06`; "better" as the measure means it, a log measure in shares.

    `by` is the least difference that would do (0: any that is shown); below 0 it is the most that may be lost
    (`ppo > best of 4 on overall by -0.01`: not below it).
    """

    a: str
    b: str
    eval: str
    by: float = 0.0

    def text(self, label: Callable[[str], str] = str) -> str:
        """The claim in words; `label` names stages."""
        wording = f"at least {self.by:g} better than" if self.by > 0 else f"no more than {-self.by:g} worse than"
        return f"{label(self.a)} is {wording if self.by else 'better than'} {label(self.b)} on {self.eval}"


def claim(text: str) -> Claim:
    """Read a claim as written in a recipe. UserError when it is not of that form."""
    found = re.fullmatch(r"\s*(.+?)\s*>\s*(.+?)\s+on\s+(\w+)(?:\s+by\s+(-?[\d.]+))?\s*", text)
    if not found:
        raise UserError(f"expected effect {text!r} is not understood; write it as 'ppo > sft on overall by 0.06'")
    a, b, name, by = found.groups()
    return Claim(a, b, name, float(by or 0))


@dataclass(frozen=True, slots=True)
class Judgement:
    """A claim and what became of it; `held` is None where it could not be tested."""

    claim: Claim
    held: bool | None
    reason: str


def judge(expected: Claim, comparison: Comparison | None, measure: Measure | None) -> Judgement:
    """Held only when shown: an effect whose interval includes 0 has failed, and so has one that is smaller than promised."""
    if comparison is None or measure is None:
        return Judgement(expected, None, "not tested: one of the stages or evals is missing")
    sign = 1 if measure.higher_is_better else -1
    low, high = sorted((sign * comparison.low, sign * comparison.high))
    mean = sign * comparison.difference
    if expected.by < 0:
        return Judgement(expected, low >= expected.by, f"the interval reaches down to {low:+.3g}")
    if high < 0:
        return Judgement(expected, False, "the opposite is shown")
    if low <= 0:
        return Judgement(expected, False, "no difference is shown: the interval includes 0")
    if mean < expected.by:
        return Judgement(expected, False, f"shown, but smaller: {mean:.3g}")
    return Judgement(expected, True, f"{mean:+.3g}")
