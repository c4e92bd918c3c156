"""What several annotators said together: for pairs of responses, which is better and how likely.

    {"pairs": [[2, 0, 0.97], [2, 1, 0.81]]}        response 2 is better than 0 with probability 0.97, than 1 with 0.81

The answer of an aggregated annotation (`aggregate.py`): all responses to a prompt in one, so all its pairs stay one unit of the loss
and its responses are read once, as in a ranking. Nobody is asked this; its task is named by import path.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from tutelage.core.errors import UserError
from tutelage.feedback.signals import Preference, Signal

TASK = "tutelage.feedback.pooled:Pooled"


@dataclass(frozen=True)
class Pooled:
    """`pairs`: (place of the better response, place of the other, probability in (0.5, 1])."""

    pairs: tuple[tuple[int, int, float], ...]

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> "Pooled":
        """From {"pairs": [[winner, loser, probability], ...]}. UserError where the answer has another form."""
        pairs: Any = answer.get("pairs")
        if set(answer) != {"pairs"} or not isinstance(pairs, list | tuple) or not all(map(_is_pair, cast(list[Any], pairs))):
            raise UserError(f'a pooled answer is {{"pairs": [[winner, loser, probability], ...]}}; got {dict(answer)}')
        return cls(tuple((winner, loser, float(p)) for winner, loser, p in cast(list[list[Any]], pairs)))

    def to_answer(self) -> dict[str, Any]:
        return {"pairs": [list(pair) for pair in self.pairs]}

    def check(self, k: int) -> None:
        """UserError unless each pair names two of the k responses, no pair comes twice, and probabilities are in (0.5, 1]."""
        for winner, loser, probability in self.pairs:
            if not (0 <= winner < k and 0 <= loser < k) or winner == loser:
                raise UserError(f"a pooled pair names two of the responses 0 to {k - 1}; got {winner} and {loser}")
            if not 0.5 < probability <= 1:
                raise UserError(f"a pooled pair's probability is above 0.5 and at most 1; got {probability}")
        if len({frozenset(pair[:2]) for pair in self.pairs}) < len(self.pairs):
            raise UserError("a pooled answer has each pair of responses once; one is there twice")

    def signals(self, k: int) -> list[Signal]:
        """One preference for each pair, of equal weight."""
        self.check(k)
        return [Preference(winner, loser, weight=1 / len(self.pairs), probability=p) for winner, loser, p in self.pairs]

    @classmethod
    def question(cls, k: int) -> str:
        """Nobody is asked it; this says what the answer is."""
        return f"Which of each two of these {k} responses is better, taking all annotators together, and how surely?"


def _is_pair(pair: Any) -> bool:
    if not isinstance(pair, list | tuple) or len(cast(list[Any], pair)) != 3:
        return False
    winner, loser, probability = cast(list[Any], pair)
    return type(winner) is int and type(loser) is int and type(probability) in (int, float)
