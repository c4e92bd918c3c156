"""Head to head, the way InstructGPT was judged: blind, two answers to one prompt, which is better, and (by people) each from 1 to 7.

    preferred = mean over prompts of (wins + ties / 2) / judgements,   quality = mean rating

Prompts share an annotator and annotators share a prompt, so intervals are clustered both ways (core/statistics.py): the answers of
three people to a hundred prompts are not three hundred opinions. Where one person alone judged, nothing is known of how people differ,
and the interval says so by being clustered by prompt only (`alone`). Where both models said the same, nobody is asked: that is a tie.

A judge by URL is one that is asked twice, in both orders: two verdicts on one prompt, whose mean is one judgement. It is swayed by length
(Zheng et al. 2023, 2306.05685, section 3.3), so `longer_won` says beside its win rate how often the longer answer won. Its figures have
names and titles of their own, and never stand in a row with people's.

Source: Ouyang et al. 2022, sections 3.6 and 4.1: labelers' preference against a baseline, and Likert quality on a scale of 1 to 7.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import hypot, sqrt

from scipy.special import stdtrit

from tutelage.core import statistics
from tutelage.core.statistics import Estimate
from tutelage.core.text import Prompt, Response
from tutelage.evals.compare import Comparison, judged
from tutelage.evals.eval import Measure, Result, Sample
from tutelage.feedback.agreement import bias
from tutelage.feedback.agreement.votes import spoken
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.tasks import answer_of
from tutelage.feedback.tasks.likert import Likert
from tutelage.feedback.tasks.pair import Pair

PEOPLE = "people"
PREFERRED = "better"
QUALITY = "quality"
QUESTIONS = (
    {"task": "pair", "name": PREFERRED, "ask": "Which answer is better?"},
    {"task": "likert", "name": QUALITY, "ask": "How good is each answer, from 1 to 7?"},
)
"""What people are asked about each pair, as a study's page says it."""


@dataclass(frozen=True)
class Value:
    """What one annotator said of one prompt, as a number."""

    prompt: Prompt
    annotator: str
    value: float


@dataclass(frozen=True)
class Asked:
    """What people are asked, and what nobody need be asked."""

    baseline: str
    pairs: tuple[tuple[Prompt, tuple[Response, Response]], ...]
    """The baseline's response beside each other one, prompt by prompt; one that several stages gave stands here once."""
    said_by: Mapping[tuple[str, str], tuple[str, ...]]
    """By ids of prompt and response: the other stages that said it."""
    same: Mapping[str, tuple[Prompt, ...]]
    """By stage: prompts to which it said what the baseline said."""


def ask(prompts: Sequence[Prompt], said: Mapping[str, Sequence[Response]], baseline: str) -> Asked:
    """`said` has each stage's response to each prompt."""
    pairs: list[tuple[Prompt, tuple[Response, Response]]] = []
    said_by: dict[tuple[str, str], tuple[str, ...]] = {}
    same: dict[str, tuple[Prompt, ...]] = {stage: () for stage in said if stage != baseline}
    for n, prompt in enumerate(prompts):
        first = said[baseline][n]
        for stage in same:
            response = said[stage][n]
            if response.id == first.id:
                same[stage] += (prompt,)
                continue
            key = (prompt.id, response.id)
            if key not in said_by:
                pairs.append((prompt, (first, response)))
            said_by[key] = (*said_by.get(key, ()), stage)
    return Asked(baseline, tuple(pairs), said_by, same)


@dataclass(frozen=True)
class Found:
    """What people, or a judge, found: figures of every stage, and each against the baseline."""

    results: tuple[Result, ...] = ()
    comparisons: tuple[Comparison, ...] = ()


def preferred_over(baseline: str, by: str) -> Measure:
    """The win rate's; a judge's has another key than people's, since one is no evidence of the other."""
    key = "preferred" if by == PEOPLE else "preferred_by_judge"
    return Measure(key, f"Preferred over {baseline}, by {by}", limits=(0.0, 1.0))


def found(annotations: Iterable[Annotation], asked: Asked, by: str = PEOPLE) -> Found:
    """How often each stage was preferred over the baseline, every stage's quality, and how it differs from the baseline's where one
    person rated both; stages nobody judged are left out. `by` is who judged, in the measures' titles."""
    wins: dict[str, list[Value]] = defaultdict(list)
    quality: dict[str, list[Value]] = defaultdict(list)
    gains: dict[str, list[Value]] = defaultdict(list)
    baseline, same = asked.baseline, asked.same
    for annotation in annotations:
        answer, value = answer_of(annotation), partial(Value, annotation.prompt, annotation.annotator)
        place, stages = _other(annotation, asked)
        if isinstance(answer, Pair):
            won = 0.5 if isinstance(answer.winner, str) else float(answer.winner == place)
            for stage in stages:
                wins[stage].append(value(won))
        elif isinstance(answer, Likert):
            theirs, ours = answer.values[place], answer.values[1 - place]
            quality[baseline].append(value(float(ours)))
            for stage in stages:
                quality[stage].append(value(float(theirs)))
                gains[stage].append(value(float(theirs - ours)))
    measure, rated = preferred_over(baseline, by), Measure(QUALITY, f"Quality, by {by}", "of 7", limits=(1.0, 7.0))
    preferred = [_result(measure, stage, wins[stage], same[stage]) for stage in same if wins[stage]]
    compared = [_against(measure, stage, baseline, wins[stage], same[stage], 0.5, (0.0, 1.0)) for stage in same if wins[stage]]
    compared += [_against(rated, stage, baseline, gains[stage], same[stage], 0.0, (-6.0, 6.0)) for stage in same if gains[stage]]
    rated_stages = [stage for stage in (baseline, *same) if quality[stage]]
    return Found((*preferred, *(_result(rated, stage, quality[stage]) for stage in rated_stages)), tuple(compared))


def longer_won(annotations: Sequence[Annotation], asked: Asked, by: str) -> tuple[Result, ...]:
    """Of the verdicts on each stage that preferred an answer, the share that preferred the longer one (in characters), clustered by
    prompt; stages without such a verdict are left out."""
    measure = Measure("longer_won", f"Longer answer won, by {by}", limits=(0.0, 1.0), main=False)
    results: list[Result] = []
    for stage in asked.same:
        share = bias.length(spoken(a for a in annotations if stage in _other(a, asked)[1]))
        if share is not None:
            whole = statistics.within(share, 0.0, 1.0)
            results.append(Result(measure, stage, whole.mean, whole.low, whole.high, whole.n))
    return tuple(results)


def _other(annotation: Annotation, asked: Asked) -> tuple[int, tuple[str, ...]]:
    """Where the response that isn't the baseline's stands, and the stages that said it."""
    keys = [(annotation.prompt.id, response.id) for response in annotation.responses]
    place = next(place for place, key in enumerate(keys) if key in asked.said_by)
    return place, asked.said_by[keys[place]]


def alone(annotations: Iterable[Annotation]) -> bool:
    """Whether one person judged everything."""
    return len({annotation.annotator for annotation in annotations}) < 2


def _result(measure: Measure, stage: str, values: Sequence[Value], same: Sequence[Prompt] = ()) -> Result:
    assert measure.limits is not None
    whole = _estimate(values, same, 0.5, measure.limits)
    ties = tuple(Sample(prompt.id, prompt.tags.get("family", ""), 0.5, prompt.id) for prompt in same)
    return Result(measure, stage, whole.mean, whole.low, whole.high, whole.n, samples=(*_by_prompt(values), *ties))


def _against(
    measure: Measure, a: str, b: str, values: Sequence[Value], same: Sequence[Prompt], tie: float, limits: tuple[float, float]
) -> Comparison:
    """How far the mean is from `tie`, which is what two stages that say the same have."""
    whole = _estimate(values, same, tie, limits)
    difference, low, high = (x - tie for x in (whole.mean, whole.low, whole.high))
    return Comparison(a, b, measure.name, difference, low, high, whole.n, judged(low, high, measure.higher_is_better))


def _estimate(values: Sequence[Value], same: Sequence[Prompt], tie: float, limits: tuple[float, float]) -> Estimate:
    """The mean over prompts, each counting the same however many judged it; prompts of `same` are ties that nobody was asked about.

    With a share s of prompts that were asked about, V = s^2 V(mean of these) + s (1 - s) (their mean - tie)^2 / n: which prompts turn
    out to be ties is chance, too.
    """
    times = Counter(value.prompt.id for value in values)
    people = [value.annotator for value in values]
    plain = statistics.mean(
        [value.value for value in values],
        [value.prompt.id for value in values],
        weights=[1 / times[value.prompt.id] for value in values],
        crossed=people if len(set(people)) > 1 else None,
    )
    given, n = statistics.within(plain, *limits), len(times) + len(same)
    share = len(times) / n
    middle = share * given.mean + (1 - share) * tie
    chance = (given.mean - tie) * sqrt(share * (1 - share) / n) * float(stdtrit(max(n - 1, 1), 0.975))
    low, high = (hypot(share * (edge - given.mean), chance) for edge in (given.low, given.high))
    return statistics.within(Estimate(middle, middle - low, middle + high, n, given.clusters), *limits)


def _by_prompt(values: Sequence[Value]) -> tuple[Sample, ...]:
    """The mean over annotators, prompt by prompt, for comparing stages."""
    of: dict[str, list[Value]] = defaultdict(list)
    for value in values:
        of[value.prompt.id].append(value)
    return tuple(
        Sample(prompt, some[0].prompt.tags.get("family", ""), sum(v.value for v in some) / len(some), prompt) for prompt, some in of.items()
    )
