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

from tutelage.core import statistics
from tutelage.core.statistics import Estimate
from tutelage.core.text import Prompt, Response
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
MEASURE = Measure(QUALITY, "Quality, by people", "of 7", limits=(1.0, 7.0))


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


def results(annotations: Iterable[Annotation], same: Mapping[str, Sequence[Prompt]], baseline: str) -> tuple[Result, ...]:
    """How often each stage was preferred over the baseline, and every stage's quality; stages nobody judged are left out."""
    wins: dict[str, list[Value]] = defaultdict(list)
    quality: dict[str, list[Value]] = defaultdict(list)
    for annotation in annotations:
        answer, stages = answer_of(annotation), [response.by for response in annotation.responses]
        if isinstance(answer, Pair):
            other = next(stage for stage in stages if stage != baseline)
            won = 0.5 if isinstance(answer.winner, str) else float(stages[answer.winner] == other)
            wins[other].append(Value(annotation.prompt, annotation.annotator, won))
        elif isinstance(answer, Likert):
            for stage, value in zip(stages, answer.values, strict=True):
                quality[stage].append(Value(annotation.prompt, annotation.annotator, float(value)))
    measure = Measure("preferred", f"Preferred over {baseline}, by people", limits=(0.0, 1.0))
    found = [_result(measure, stage, wins[stage], same.get(stage, ())) for stage in same if wins[stage]]
    order = [baseline, *same]
    return (*found, *(_result(MEASURE, stage, quality[stage]) for stage in order if quality[stage]))


def alone(annotations: Iterable[Annotation]) -> bool:
    """Whether one person judged everything."""
    return len({annotation.annotator for annotation in annotations}) < 2


def _result(measure: Measure, stage: str, values: Sequence[Value], same: Sequence[Prompt] = ()) -> Result:
    """The figure; each prompt counts the same, however many judged it, and those of `same` are ties that nobody was asked about."""
    judged = Counter(value.prompt.id for value in values)
    found = _estimate(values, [1 / judged[value.prompt.id] for value in values])
    share = len(judged) / (len(judged) + len(same))
    mean, low, high = (share * x + (1 - share) / 2 for x in (found.mean, found.low, found.high))
    ties = tuple(Sample(prompt.id, prompt.tags.get("family", ""), 0.5, prompt.id) for prompt in same)
    return Result(measure, stage, mean, low, high, len(judged) + len(same), samples=(*_by_prompt(values), *ties))


def _estimate(values: Sequence[Value], weights: Sequence[float]) -> Estimate:
    people = [value.annotator for value in values]
    crossed = people if len(set(people)) > 1 else None
    return statistics.mean([v.value for v in values], [v.prompt.id for v in values], weights=weights, crossed=crossed)


def _by_prompt(values: Sequence[Value]) -> tuple[Sample, ...]:
    """The mean over annotators, prompt by prompt, for comparing stages."""
    of: dict[str, list[Value]] = defaultdict(list)
    for value in values:
        of[value.prompt.id].append(value)
    return tuple(
        Sample(prompt, some[0].prompt.tags.get("family", ""), sum(v.value for v in some) / len(some), prompt) for prompt, some in of.items()
    )
