"""What an eval is: data, an answerer, a grader; and what it gives: one number per item, never only their mean.

Every eval keeps its samples (item, family, value, cluster), because all that is said later is said about the same items: an interval
is clustered by prompt or by document, and a comparison of two stages is paired item by item (Miller 2024, "Adding error bars to
evals"). Where a figure is a ratio of totals (nats per token), its samples are linearized first (`ratio`): their plain mean is then
exactly the figure, and their spread is that of the figure.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from tutelage.core import statistics
from tutelage.core.errors import UserError
from tutelage.core.statistics import Estimate
from tutelage.core.text import Demonstration, Document, Prompt, Response

if TYPE_CHECKING:
    from tutelage.synthetic.gold import Scores


@dataclass(frozen=True, slots=True)
class Sample:
    """One item's value. `prompt` is the item's id, the same for every stage; `cluster` is what varies as one (usually the prompt)."""

    prompt: str
    family: str
    value: float
    cluster: str


@dataclass(frozen=True, slots=True)
class Measure:
    """What a number means, so that tables, charts and sentences need not know any eval by name."""

    name: str
    """Its key in `report.json`."""
    title: str
    unit: str = ""
    higher_is_better: bool = True
    scale: Literal["plain", "log"] = "plain"
    """log: samples are logarithms, the figure is exp of their mean (perplexity) and a difference is a share: 0.05 is 5 % more."""
    balanced: bool = False
    """Every family weighs the same, however many items it has."""
    limits: tuple[float, float] | None = None
    """The range of possible values: the axis of its chart."""
    digits: int = 2
    main: bool = True
    """Named in the report's first sentence when it gets worse; the others are beside it in the table."""


@dataclass(frozen=True)
class Result:
    """A measure at a stage: mean and 95 % interval over `n` items, by family, and the items themselves.

    `stage` may be a baseline that was not trained ("best of 4", "longer answer").
    """

    measure: Measure
    stage: str
    mean: float
    low: float
    high: float
    n: int
    families: Mapping[str, Estimate] = field(default_factory=dict)
    samples: tuple[Sample, ...] = ()

    @property
    def eval(self) -> str:
        return self.measure.name


@dataclass(frozen=True)
class Answer:
    """A sampled answer and how likely it was: `nats` is minus the log-probability of the whole answer, its end included."""

    text: str
    ids: tuple[int, ...]
    finished: bool
    nats: float


@dataclass(frozen=True)
class Pair:
    """Two answers of which the first is better, by `gap` (1 for a human's judgement)."""

    prompt: Prompt
    better: Response
    worse: Response
    gap: float = 1.0
    cluster: str = ""
    """What varies as one; empty: the prompt."""

    @property
    def id(self) -> str:
        return f"{self.prompt.id}/{self.better.id}/{self.worse.id}"


@dataclass(frozen=True, slots=True)
class Cloze:
    """A plain text that breaks off, and how it may go on: what pre-training taught, asked without chat marks."""

    text: str
    answers: tuple[str, ...]
    """Any of them is right."""
    family: str = ""


@dataclass(frozen=True)
class Enumerable:
    """A prompt whose answers can be listed, with the reward of each and, last, of everything else: the exact optimum is known."""

    prompt: Prompt
    answers: tuple[str, ...]
    rewards: tuple[float, ...]
    beta: float


@dataclass(frozen=True)
class Material:
    """What is measured on: the same for every stage of a run. What is empty is reported as not tested."""

    prompts: tuple[Prompt, ...] = ()
    heldout: tuple[Prompt, ...] = ()
    """Recombinations of trained skills that no stage saw."""
    documents: tuple[Document, ...] = ()
    """Held-out text of the kind that pre-training saw."""
    demonstrations: tuple[Demonstration, ...] = ()
    """Held-out demonstrations of the kind that fine-tuning saw."""
    cloze: tuple[Cloze, ...] = ()
    pairs: tuple[Pair, ...] = ()
    enumerable: Enumerable | None = None
    grade: "Callable[[Prompt, str, bool], Scores] | None" = None
    """The gold reward: (prompt, text, finished) -> overall, helpful, honest, harmless."""


class Subject(Protocol):
    """A stage's artifact, as far as an eval can see it. All that it gives is kept by the artifact's hash and never computed twice."""

    @property
    def stage(self) -> str: ...
    @property
    def material(self) -> Material: ...
    @property
    def kind(self) -> Literal["policy", "reward"]: ...
    @property
    def parent(self) -> "Subject | None":
        """The policy that this one was trained from, and kept close to."""
        ...

    @property
    def judge(self) -> "Subject | None":
        """The reward model that this policy was trained with."""
        ...

    @property
    def curve(self) -> Sequence[Mapping[str, object]]:
        """Rows of its training's probes (see `evals/probe.py`), empty where there was none."""
        ...

    def answers(self, prompts: Sequence[Prompt], samples: int = 1) -> list[tuple[Answer, ...]]:
        """`samples` answers to each prompt."""
        ...

    def completions(self, texts: Sequence[str], tokens: int) -> list[str]:
        """The likeliest continuation of plain texts, word by word."""
        ...

    def nll(self, texts: Sequence[Document | Demonstration]) -> list[tuple[float, int]]:
        """Nats and trained tokens of each text: all of a document, the response of a demonstration."""
        ...

    def score(self, items: Sequence[tuple[Prompt, tuple[Response, ...]]]) -> list[tuple[float, ...]]:
        """A reward model's scores, scaled."""
        ...

    def kl(self, prompts: Sequence[Prompt]) -> list[float]:
        """Nats per answer between this policy and its parent, on an answer of its own to each prompt."""
        ...


class Eval(Protocol):
    """One file in `evals/`: a frozen dataclass whose fields are the settings, and `EVAL`, one of it: what a recipe's name means."""

    def untestable(self, subject: Subject) -> str | None:
        """Why this can't be measured here, as a sentence for the report; "" where it does not apply; None where it can be measured."""
        ...

    def run(self, subject: Subject) -> tuple[Result, ...]:
        """The figures, the headline first."""
        ...


def measured(measure: Measure, stage: str, samples: Sequence[Sample]) -> Result:
    """The figure, its interval and its families. Raises UserError where a value is not a finite number."""
    if not samples:
        raise UserError(f"eval {measure.name} of stage {stage} has no items; give it data or leave it out of `evals`")
    for sample in samples:
        if not math.isfinite(sample.value):
            raise UserError(
                f"eval {measure.name} of stage {stage} is {sample.value} on item {sample.prompt}; "
                "such a model diverged in training: lower its rate, or leave the stage out of `models`"
            )
    whole = estimate(measure, samples)
    parts: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        parts[sample.family].append(sample)
    families = {name: estimate(measure, part) for name, part in sorted(parts.items())} if len(parts) > 1 else {}
    return Result(measure, stage, whole.mean, whole.low, whole.high, whole.n, families, tuple(samples))


def estimate(measure: Measure, samples: Sequence[Sample]) -> Estimate:
    """Mean and interval, on the measure's own scale. A rate of independent items has Wilson's interval."""
    values = [sample.value for sample in samples]
    clusters = [sample.cluster for sample in samples]
    weights = weights_of(measure, samples)
    if weights is None and set(values) <= {0.0, 1.0} and len(set(clusters)) == len(clusters):
        return statistics.rate(int(sum(values)), len(values))
    return on_scale(measure, statistics.mean(values, clusters, weights=weights))


def weights_of(measure: Measure, samples: Sequence[Sample]) -> list[float] | None:
    """Weights under which families count the same, where they do and there are several."""
    families = [sample.family for sample in samples]
    return statistics.balanced(families) if measure.balanced and len(set(families)) > 1 else None


def on_scale(measure: Measure, found: Estimate, less: float = 0.0) -> Estimate:
    """exp(estimate) - less, where the measure is a logarithm."""
    if measure.scale == "plain":
        return found
    mean, low, high = (math.inf if x > 700 else math.exp(x) - less for x in (found.mean, found.low, found.high))
    return Estimate(mean=mean, low=low, high=high, n=found.n, clusters=found.clusters)


def ratio(totals: Sequence[float], counts: Sequence[float]) -> list[float]:
    """Values whose mean is sum(totals) / sum(counts), with the spread of that ratio: R + (total - R count) / mean count."""
    r = sum(totals) / sum(counts)
    size = sum(counts) / len(counts)
    return [r + (total - r * count) / size for total, count in zip(totals, counts, strict=True)]


def family(prompt: Prompt) -> str:
    """The prompt's kind, "" where nobody said."""
    return prompt.tags.get("family", "")
