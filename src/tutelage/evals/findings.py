"""Everything that a report says, as one value, and the one sentence that it begins with.

Nothing here measures or draws: what was found goes in, words come out, so a sentence can be tested without a model.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tutelage.core.errors import UserError
from tutelage.evals.compare import Claim, Comparison, Judgement, compare, compare_families, judge
from tutelage.evals.eval import Measure, Result


@dataclass(frozen=True, slots=True)
class Cost:
    """What a stage took."""

    tokens: int = 0
    seconds: float = 0.0
    tokens_per_s: float = 0.0
    peak_rss: int = 0
    """Bytes."""


@dataclass(frozen=True)
class StageNote:
    """What the report says of a stage beside its figures. `parent` is the stage it was trained from ("" at the root)."""

    name: str
    method: str
    parent: str = ""
    hash: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)
    cost: Cost | None = None
    title: str = ""

    @property
    def label(self) -> str:
        return self.title or pretty(self.name)


@dataclass(frozen=True, slots=True)
class Shown:
    """One answer in an example: who gave it, the text as it is, its value and a word on it ("gold 0.80")."""

    stage: str
    text: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt with the answers of several stages. `heading` says how it was picked ("Gained most")."""

    heading: str
    prompt: str
    answers: tuple[Shown, ...]
    family: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """Data or people behind a run: what it is, where from, how many rows (or annotations), and the hash of its content."""

    name: str
    origin: str
    rows: int
    unit: str = "rows"
    hash: str = ""


Point = Mapping[str, float]
"""A point of a curve: step, value, and low, high where an interval is known."""


@dataclass(frozen=True)
class Findings:
    """What `report.json` and `report.html` are made of. `stages` in the order of the recipe, `results` in the order of the evals."""

    recipe: str
    stages: tuple[StageNote, ...]
    results: tuple[Result, ...]
    comparisons: tuple[Comparison, ...] = ()
    evaluation: StageNote | None = None
    """The evaluation itself, with what it cost until this was written."""
    curves: Mapping[str, Mapping[str, Sequence[Point]]] = field(default_factory=dict)
    """By name (gold, proxy, kl), then by stage."""
    examples: tuple[Example, ...] = ()
    picked: str = ""
    """How the examples were picked, as a sentence."""
    data: tuple[Source, ...] = ()
    people: tuple[Source, ...] = ()
    untested: tuple[str, ...] = ()
    judgements: tuple[Judgement, ...] = ()
    settings: str = ""
    """The recipe as it ran, as YAML."""
    notes: tuple[str, ...] = ()
    """What a reader must know beside the figures: "a model of this size is no assistant"."""
    versions: Mapping[str, str] = field(default_factory=dict)
    main: str = ""
    """The stage that the first sentence is about; empty: see `headline_stage`."""

    @property
    def measures(self) -> dict[str, Measure]:
        return {result.eval: result.measure for result in self.results}

    @property
    def costs(self) -> dict[str, Cost]:
        """What every stage cost, by name; the evaluation last."""
        return {note.name: note.cost for note in (*self.stages, self.evaluation) if note and note.cost}

    @property
    def order(self) -> list[str]:
        """Stages that have results, in the recipe's order, baselines last."""
        seen = list(dict.fromkeys(result.stage for result in self.results))
        names = [stage.name for stage in self.stages if stage.name in seen]
        return names + [name for name in seen if name not in names]

    def label(self, stage: str) -> str:
        return next((note.label for note in self.stages if note.name == stage), pretty(stage))

    def result(self, measure: str, stage: str) -> Result | None:
        return next((r for r in self.results if r.eval == measure and r.stage == stage), None)

    def comparison(self, measure: str, a: str, b: str) -> Comparison | None:
        return next((c for c in self.comparisons if (c.eval, c.a, c.b) == (measure, a, b)), None)

    def parent(self, stage: str) -> str:
        """The nearest stage with results that `stage` was trained from, or ""."""
        parents = {note.name: note.parent for note in self.stages}
        seen = {stage}
        while (stage := parents.get(stage, "")) and stage not in seen:
            if stage in self.order:
                return stage
            seen.add(stage)
        return ""


def headline_stage(found: Findings) -> str:
    """The stage that the report is about: of those with the first measure the one with the longest line of ancestors, the first listed."""
    if found.main:
        return found.main

    def depth(stage: str) -> int:
        parent = found.parent(stage)
        return 1 + depth(parent) if parent else 0

    first = next(iter(found.measures), "")
    with_it = [name for name in found.order if found.result(first, name)]
    trained = [name for name in with_it if any(note.name == name for note in found.stages)] or with_it
    return max(trained, key=depth, default="")


def sentence(found: Findings) -> str:
    """ "PPO is better than SFT by 0.12 (0.09 to 0.15) on overall gold. It got worse at ..." """
    main = headline_stage(found)
    if not main:
        return "Nothing was measured."
    measure = next((r.measure for r in found.results if r.stage == main), None)
    if measure is None:
        raise UserError(f"the report's main stage {main!r} has no results; measured were {', '.join(found.order) or 'none'}")
    label, parent = found.label(main), found.parent(main)
    result = found.result(measure.name, main)
    assert result is not None
    comparison = found.comparison(measure.name, main, parent) if parent else None
    if comparison is None:
        figure = f"{number(result.mean, measure)} ({span(result.low, result.high, measure)}, n = {result.n:,})"
        return f"{label} has {figure} on {lower(measure.title)}; nothing was measured that it could be compared with."
    return f"{verdict_words(found, comparison, measure)} {losses(found, main, parent, measure)}"


def verdict_words(found: Findings, c: Comparison, measure: Measure) -> str:
    a, b, title = found.label(c.a), found.label(c.b), lower(measure.title)
    if c.verdict == "not shown":
        return f"No difference between {a} and {b} is shown on {title}: {change(c, measure)} ({change_span(c, measure)}, n = {c.n:,})."
    low, high = sorted((abs(c.low), abs(c.high)))
    size = f"{number(abs(c.difference), measure, True)} ({span(low, high, measure, True)})"
    return f"{a} is {c.verdict} than {b} by {size} on {title}."


def losses(found: Findings, main: str, parent: str, headline: Measure) -> str:
    """Where `main` is shown to be worse: main measures first, then families of the headline."""
    worse = [c for c in found.comparisons if (c.a, c.b, c.verdict) == (main, parent, "worse") and c.eval != headline.name]
    said = [f"{lower(found.measures[c.eval].title)} ({change(c, found.measures[c.eval])})" for c in worse if found.measures[c.eval].main]
    a, b = found.result(headline.name, main), found.result(headline.name, parent)
    parts = compare_families(a, b) if a and b else []
    said += [f"{pretty(c.family).lower()} ({change(c, headline)})" for c in parts if c.verdict == "worse"]
    if not said:
        return "It is not shown to be worse at anything that was measured."
    more = f" and {len(said) - 4} more" if len(said) > 4 else ""
    return f"It got worse at {listed(said[:4])}{more}."


def listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def number(value: float, measure: Measure, difference: bool = False) -> str:
    """A figure as it is printed, with a true minus and no sign on what rounds to 0; differences of a log measure in per cent."""
    share = measure.scale == "log" and difference
    size = abs(100 * value if share else value)
    digits = 1 if share else 0 if size >= 1000 else 1 if size >= 100 else measure.digits
    text = f"{size:,.{digits}f}"
    minus = "\u2212" if value < 0 and text.strip("0.,") else ""
    return f"{minus}{text}" + ("\u00a0%" if share else "")


def signed(value: float, measure: Measure) -> str:
    text = number(value, measure, True)
    return f"+{text}" if value > 0 and text.strip("0.,\u00a0%") else text


def span(low: float, high: float, measure: Measure, difference: bool = False) -> str:
    """An interval; a single prompt or document gives none."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return "no interval"
    return f"{number(low, measure, difference)} to {number(high, measure, difference)}"


def change(c: Comparison, measure: Measure) -> str:
    return signed(c.difference, measure)


def change_span(c: Comparison, measure: Measure) -> str:
    if not (math.isfinite(c.low) and math.isfinite(c.high)):
        return "no interval"
    return f"{signed(c.low, measure)} to {signed(c.high, measure)}"


def pretty(name: str) -> str:
    """A stage's or family's name for people: `reward_model` is "Reward model", `ppo` is "PPO"."""
    short = {"sft", "dpo", "ppo", "ptx", "kto", "ipo", "rloo", "grpo", "orpo"}
    words = [word.upper() if word in short else word for word in name.replace("_", " ").split(" ")]
    text = " ".join(words)
    return text[:1].upper() + text[1:]


def lower(title: str) -> str:
    """A title inside a sentence; abbreviations stay as they are."""
    return title if title[:2].isupper() else title[:1].lower() + title[1:]


def judged_claims(found: Findings, claims: Sequence[Claim]) -> tuple[Judgement, ...]:
    """What became of the effects that a recipe expects."""

    def one(expected: Claim) -> Judgement:
        a, b = found.result(expected.eval, expected.a), found.result(expected.eval, expected.b)
        return judge(expected, compare(a, b) if a and b else None, found.measures.get(expected.eval))

    return tuple(map(one, claims))
