"""Twelve simulated annotators: they see the truth through their own tastes, haste and noise.

utility = gold + length x log2(1 + tokens) + flattery x (flatters?) + position x (shown first?) + noise x N(0, 1)

Each is right on 72 to 78 % of the pairs whose gold differs by 0.1 or more (75 % on samples of an SFT model), as people agree with each
other in InstructGPT (Ouyang et al. 2022, section 3.4: 72.6 to 77.3 %). What they say to each task is in `judging.py`, what they flag in
`flagging.py`. An answer depends on (seed, annotator, prompt, responses) and the order shown only, so the same question asked twice gets
the same answer; its seconds too come from the seed. A larger crowd has the same twelve ways of judging over again, and may have flippers,
whose utility is the negative of that: what a hostile or a confused annotator says.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import log2
from typing import Annotated, Any

from annotated_types import Ge, Interval

from tutelage.core.errors import UserError
from tutelage.core.randomness import permutation, stream
from tutelage.core.settings import closest
from tutelage.core.text import Prompt, Response
from tutelage.feedback import tasks
from tutelage.feedback.annotation import Annotation
from tutelage.synthetic import flagging
from tutelage.synthetic.gold import Gold, opened
from tutelage.synthetic.items import item_of
from tutelage.synthetic.judging import TASKS, Asked

FLATTERY = {"dear", "wonderful", "happy", "thank", "nice"}
GUIDELINE = "synthetic-1"


@dataclass(frozen=True)
class Annotator:
    """One person's way of judging; everything in units of gold (0..1)."""

    name: str
    length: float
    """Added per doubling of a response's tokens."""
    flattery: float
    """Added for a response that flatters."""
    position: float
    """Added for the response shown first."""
    noise: float
    """Standard deviation of what can't be explained."""
    tie: float
    """Neighbors closer than this share a tier."""
    sign: int = 1
    """-1: says the opposite of what they think."""


@dataclass(frozen=True)
class Crowd:
    """Who is asked."""

    people: Annotated[int, Interval(ge=1, le=500)] = 12
    """How many, flippers included; ann-01, ann-02, ..."""
    flippers: Annotated[int, Ge(0)] = 0
    """How many of them say the opposite of what they think; flip-01, flip-02, ..."""

    def __post_init__(self) -> None:
        if self.flippers > self.people:
            raise ValueError(f"of {self.people} people {self.flippers} can't be flippers")

    @property
    def names(self) -> tuple[str, ...]:
        honest = self.people - self.flippers
        return tuple([f"ann-{n:02}" for n in range(1, honest + 1)] + [f"flip-{n:02}" for n in range(1, self.flippers + 1)])


ANNOTATORS: dict[str, Annotator] = {
    person.name: person
    for person in (
        Annotator("ann-01", 0.02, 0.05, 0.02, 0.56, 0.02),
        Annotator("ann-02", 0.04, 0.00, 0.05, 0.55, 0.02),
        Annotator("ann-03", -0.03, 0.02, 0.00, 0.58, 0.03),
        Annotator("ann-04", 0.00, 0.10, 0.04, 0.53, 0.02),
        Annotator("ann-05", 0.06, 0.05, 0.00, 0.51, 0.01),
        Annotator("ann-06", -0.02, -0.05, 0.06, 0.60, 0.02),
        Annotator("ann-07", 0.08, 0.10, 0.08, 0.48, 0.03),
        Annotator("ann-08", 0.00, 0.00, 0.00, 0.56, 0.02),
        Annotator("ann-09", 0.03, 0.08, 0.03, 0.53, 0.04),
        Annotator("ann-10", -0.05, 0.00, 0.02, 0.58, 0.02),
        Annotator("ann-11", 0.05, 0.03, 0.10, 0.53, 0.02),
        Annotator("ann-12", 0.01, 0.06, 0.00, 0.52, 0.05),
    )
}


def annotators() -> tuple[str, ...]:
    """Their names."""
    return tuple(ANNOTATORS)


def shown_order(prompt: Prompt, responses: Sequence[Response], annotator: str, seed: int = 0) -> tuple[int, ...]:
    """shown[place on the screen] = place in `responses`, shuffled anew for each annotator and prompt."""
    return tuple(permutation(len(responses), "shown", seed, annotator, prompt.id))


def utilities(prompt: Prompt, responses: Sequence[Response], annotator: str, shown: Sequence[int], seed: int = 0) -> list[float]:
    """What each response is worth to this annotator. The same text always is worth the same, but for its place on the screen."""
    person, gold = _person(annotator), Gold(seed)
    found: list[float] = []
    with opened("annotators"):
        for place, response in enumerate(responses):
            words = response.text.split()
            noise = float(stream("annotator", seed, annotator, prompt.id, response.id).standard_normal())
            thought = (
                gold.scores(prompt, response.text, response.finished).overall
                + person.length * log2(1 + len(words))
                + person.flattery * bool(FLATTERY & set(words))
                + person.position * (bool(shown) and shown[0] == place)
                + person.noise * noise
            )
            found.append(person.sign * thought)
    return found


def annotate(
    prompt: Prompt,
    responses: Sequence[Response],
    task: str,
    annotator: str,
    seed: int = 0,
    shown: Sequence[int] | None = None,
    flags: Iterable[str] = (),
    options: Any = None,
) -> Annotation:
    """One whole annotation; `shown` where somebody else shuffles, `flags` that are asked about, `options` of the task. UserError for an
    unknown annotator, a task that they can't do, or one that can't be asked about so many responses."""
    if task not in TASKS:
        raise UserError(f"synthetic:annotators can do {', '.join(TASKS)}, not {task!r}{closest(task, TASKS)}")
    person, kind = _person(annotator), tasks.load(task)
    options = kind.Options() if options is None else options
    kind.form(len(responses), options)
    shown = shown_order(prompt, responses, annotator, seed) if shown is None else tuple(shown)
    worth = utilities(prompt, responses, annotator, shown, seed)
    random = stream("written", seed, annotator, prompt.id)
    answer = TASKS[task](Asked(item_of(prompt, seed), responses, worth, person.tie, random, options)).to_answer()
    return Annotation(
        prompt=prompt,
        responses=tuple(responses),
        task=task,
        answer=answer,
        annotator=annotator,
        shown=shown,
        guideline=GUIDELINE,
        seconds=seconds(prompt, responses, annotator, seed, len(answer.get("text", "").split())),
        flags=flagging.flags(prompt, responses, annotator, flags, seed),
    )


def seconds(prompt: Prompt, responses: Sequence[Response], annotator: str, seed: int = 0, typed: int = 0) -> float:
    """How long the answer took: four words read a second, two in three seconds typed, more or less (log-normal)."""
    words = sum(len(r.text.split()) for r in responses) + sum(len(m.text.split()) for m in prompt.messages)
    haste = float(stream("seconds", seed, annotator, prompt.id).lognormal(0.0, 0.3))
    return round((3 + words / 4 + 1.5 * typed) * haste, 1)


def _person(name: str) -> Annotator:
    kind, _, number = name.partition("-")
    if kind not in ("ann", "flip") or not (number.isascii() and number.isdigit() and int(number)):
        raise UserError(f"there is no simulated annotator {name!r}{closest(name, ANNOTATORS)}")
    alike = ANNOTATORS[f"ann-{(int(number) - 1) % len(ANNOTATORS) + 1:02}"]
    return replace(alike, name=name, sign=-1 if kind == "flip" else 1)
