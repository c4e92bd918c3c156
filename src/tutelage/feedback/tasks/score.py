"""A number for each response, from `low` to `high`.

For finer judgements than seven steps, and for scores of machines and of other tools. Training takes labels, (value - low) / (high - low),
so that 0 to 10, 0 to 100 and -1 to 1 mean the same. The range is a part of the answer where it isn't 0 to 10, since a number without
its range can't be checked, nor compared, years later.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

from tutelage.core.errors import UserError
from tutelage.core.settings import closest
from tutelage.feedback.places import fits, letter, on_screen, stored
from tutelage.feedback.signals import Gives, Signal, labels_of
from tutelage.feedback.tasks.form import Field, answers_to

LOW, HIGH = 0.0, 10.0
MOST = 1e12
"""Of either sign: what a form takes, and no infinity."""
FIELDS = ("values", "low", "high")


@dataclass(frozen=True)
class ScoreOptions:
    """What a study may set."""

    low: float = LOW
    """The worst score."""
    high: float = HIGH
    """The best score, above `low`."""

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise UserError(f"low lies below high; got {self.low:g} and {self.high:g}")


DEFAULT = ScoreOptions()


@dataclass(frozen=True)
class Score:
    """`values[place]` is the score of the response at a place."""

    responses: ClassVar[range] = range(1, 27)
    gives: ClassVar[Gives] = "labels"
    Options: ClassVar[type[Any]] = ScoreOptions

    values: tuple[float, ...]
    low: float = LOW
    high: float = HIGH

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> "Score":
        """From {"values": [7.5, ...], "low": 0, "high": 10}. UserError where the answer has another form."""
        for name in answer:
            if name not in FIELDS:
                raise UserError(f"a score's answer has no field {name!r}{closest(name, FIELDS)}")
        values: Any = answer.get("values")
        if not isinstance(values, list | tuple):
            raise UserError(f'a score is {{"values": [a number for each response]}}; got {dict(answer)}')
        return cls(tuple(cast(list[float], values)), answer.get("low", LOW), answer.get("high", HIGH))

    def to_answer(self) -> dict[str, Any]:
        """The range is left out where it is 0 to 10."""
        range_ = {} if (self.low, self.high) == (LOW, HIGH) else {"low": self.low, "high": self.high}
        return {"values": list(self.values), **range_}

    def check(self, k: int) -> None:
        """UserError unless each of the k responses has a number within the range."""
        fits(k, self.responses, "a score")
        if not (_is_number(self.low) and _is_number(self.high) and self.low < self.high):
            raise UserError(f"a score's low and high are numbers, low below high; got {self.low!r} and {self.high!r}")
        if len(self.values) != k:
            raise UserError(f"a score of {k} responses has {k} values; got {len(self.values)}")
        for place, value in enumerate(self.values):
            if not _is_number(value) or not self.low <= value <= self.high:
                raise UserError(f"a score is a number from {self.low:g} to {self.high:g}; got {value!r} for response {place}")

    def signals(self, k: int) -> list[Signal]:
        """One label for each response, in 0..1."""
        self.check(k)
        return labels_of([(value - self.low) / (self.high - self.low) for value in self.values])

    @classmethod
    def question(cls, k: int) -> str:
        """What the annotator is asked."""
        return f"How good is {'this response' if k == 1 else 'each response'}, as a number?"

    @classmethod
    def form(cls, k: int, options: ScoreOptions = DEFAULT) -> tuple[Field, ...]:
        """A number on each card."""
        fits(k, cls.responses, "a score")
        return (_field(options),)

    @classmethod
    def from_form(cls, values: Mapping[str, str], shown: Sequence[int], options: ScoreOptions = DEFAULT) -> "Score":
        """From {"value-0": "7.5", ...}. UserError in words for the annotator."""
        said = answers_to(_field(options), values, len(shown))
        return cls(stored([float(text) for text in said], shown), options.low, options.high)

    def to_form(self, shown: Sequence[int], options: ScoreOptions = DEFAULT) -> dict[str, str]:
        """What a POST would have said."""
        return {f"value-{n}": _plain(value) for n, value in enumerate(on_screen(self.values, shown))}

    def said(self, shown: Sequence[int]) -> str:
        """In letters of the screen: "A 7.5, B 3"."""
        return ", ".join(f"{letter(n)} {_plain(value)}" for n, value in enumerate(on_screen(self.values, shown)))


def _field(options: ScoreOptions) -> Field:
    limits = f"From {options.low:g} to {options.high:g}, higher is better"
    return Field("value", "number", "Score", each=True, low=options.low, high=options.high, help=limits)


def _is_number(x: object) -> bool:
    return type(x) in (int, float) and abs(cast(float, x)) <= MOST


def _plain(value: float) -> str:
    """Without the .0 of a whole number, and never as 1e-05."""
    return f"{value:.12f}".rstrip("0").rstrip(".")
