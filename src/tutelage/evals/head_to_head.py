"""Head to head before people, the way InstructGPT was judged: blind, two answers to one prompt, which is better, and each from 1 to 7.

    preferred = mean over prompts of (wins + ties / 2) / judgements,   quality = mean rating

Prompts share an annotator and annotators share a prompt, so intervals are clustered both ways (core/statistics.py): the answers of
three people to a hundred prompts are not three hundred opinions. Where one person alone judged, nothing is known of how people differ,
and the interval says so by being clustered by prompt only (`alone`). Where both models said the same, nobody is asked: that is a tie.

Source: Ouyang et al. 2022, sections 3.6 and 4.1: labelers' preference against a baseline, and Likert quality on a scale of 1 to 7.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from tutelage.core import statistics
from tutelage.core.statistics import Estimate
from tutelage.core.text import Prompt, Response
from tutelage.evals.compare import Comparison, judged
from tutelage.evals.eval import Measure, Result, Sample
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.tasks import answer_of
from tutelage.feedback.tasks.likert import Likert
from tutelage.feedback.tasks.pair import Pair

PREFERRED = "better"
QUALITY = "quality"
QUESTIONS = (
    {"task": "pair", "name": PREFERRED, "ask": "Which answer is better?"},
    {"task": "likert", "name": QUALITY, "ask": "How good is each answer, from 1 to 7?"},
)
"""What people are asked about each pair, as a study's page says it."""
QUALITY_OF = Measure(QUALITY, "Quality, by people", "of 7", limits=(1.0, 7.0))


@dataclass(frozen=True)
class Value:
    """What one annotator said of one prompt, as a number."""

    prompt: Prompt
    annotator: str
    value: float


def asked(
    prompts: Sequence[Prompt], said: Mapping[str, Sequence[Response]], baseline: str
) -> tuple[list[tuple[Prompt, tuple[Response, Response]]], dict[str, list[Prompt]]]:
    """(what people are asked: the baseline's response and another stage's, prompt by prompt; {stage: prompts where both said the
    same}). `said` has each stage's response to each prompt; a response's `by` is its stage."""
    different: list[tuple[Prompt, tuple[Response, Response]]] = []
    same: dict[str, list[Prompt]] = {stage: [] for stage in said if stage != baseline}
    for n, prompt in enumerate(prompts):
        for stage, equal in same.items():
            if said[baseline][n].id == said[stage][n].id:
                equal.append(prompt)
            else:
                different.append((prompt, (said[baseline][n], said[stage][n])))
    return different, same


@dataclass(frozen=True)
class Found:
    """What people found: figures of every stage, and each against the baseline."""

    results: tuple[Result, ...] = ()
    comparisons: tuple[Comparison, ...] = ()


def found(annotations: Iterable[Annotation], same: Mapping[str, Sequence[Prompt]], baseline: str) -> Found:
    """How often each stage was preferred over the baseline, every stage's quality, and how it differs from the baseline's where one
    person rated both; stages nobody judged are left out."""
    wins: dict[str, list[Value]] = defaultdict(list)
    quality: dict[str, list[Value]] = defaultdict(list)
    gains: dict[str, list[Value]] = defaultdict(list)
    for annotation in annotations:
        answer, stages = answer_of(annotation), [response.by for response in annotation.responses]
        other = next(stage for stage in stages if stage != baseline)
        value = partial(Value, annotation.prompt, annotation.annotator)
        if isinstance(answer, Pair):
            wins[other].append(value(0.5 if isinstance(answer.winner, str) else float(stages[answer.winner] == other)))
        elif isinstance(answer, Likert):
            rated = dict(zip(stages, answer.values, strict=True))
            for stage, rating in rated.items():
                quality[stage].append(value(float(rating)))
            gains[other].append(value(float(rated[other] - rated[baseline])))
    measure = Measure("preferred", f"Preferred over {baseline}, by people", limits=(0.0, 1.0))
    preferred = [_result(measure, stage, wins[stage], same[stage]) for stage in same if wins[stage]]
    compared = [_against(measure, stage, baseline, wins[stage], same[stage], 0.5) for stage in same if wins[stage]]
    compared += [_against(QUALITY_OF, stage, baseline, gains[stage], same[stage], 0.0) for stage in same if gains[stage]]
    rated_stages = [stage for stage in (baseline, *same) if quality[stage]]
    return Found((*preferred, *(_result(QUALITY_OF, stage, quality[stage]) for stage in rated_stages)), tuple(compared))


def alone(annotations: Iterable[Annotation]) -> bool:
    """Whether one person judged everything."""
    return len({annotation.annotator for annotation in annotations}) < 2


def _result(measure: Measure, stage: str, values: Sequence[Value], same: Sequence[Prompt] = ()) -> Result:
    whole = _estimate(values, same, 0.5)
    ties = tuple(Sample(prompt.id, prompt.tags.get("family", ""), 0.5, prompt.id) for prompt in same)
    return Result(measure, stage, whole.mean, whole.low, whole.high, whole.n, samples=(*_by_prompt(values), *ties))


def _against(measure: Measure, a: str, b: str, values: Sequence[Value], same: Sequence[Prompt], tie: float) -> Comparison:
    """How far the mean is from `tie`, which is what two stages that say the same have."""
    whole = _estimate(values, same, tie)
    difference, low, high = (x - tie for x in (whole.mean, whole.low, whole.high))
    return Comparison(a, b, measure.name, difference, low, high, whole.n, judged(low, high, measure.higher_is_better))


def _estimate(values: Sequence[Value], same: Sequence[Prompt], tie: float) -> Estimate:
    """The mean over prompts, each counting the same however many judged it; prompts of `same` are ties that nobody was asked about."""
    times = Counter(value.prompt.id for value in values)
    people = [value.annotator for value in values]
    given = statistics.mean(
        [value.value for value in values],
        [value.prompt.id for value in values],
        weights=[1 / times[value.prompt.id] for value in values],
        crossed=people if len(set(people)) > 1 else None,
    )
    n = len(times) + len(same)
    share = len(times) / n
    mean, low, high = (share * x + (1 - share) * tie for x in (given.mean, given.low, given.high))
    return Estimate(mean, low, high, n, given.clusters)


def _by_prompt(values: Sequence[Value]) -> tuple[Sample, ...]:
    """The mean over annotators, prompt by prompt, for comparing stages."""
    of: dict[str, list[Value]] = defaultdict(list)
    for value in values:
        of[value.prompt.id].append(value)
    return tuple(
        Sample(prompt, some[0].prompt.tags.get("family", ""), sum(v.value for v in some) / len(some), prompt) for prompt, some in of.items()
    )
