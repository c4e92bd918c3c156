"""The same difference from the other side."""

import pytest

from tutelage.cli.compare import turned
from tutelage.evals.eval import Measure

ROW = {"a": "ppo", "b": "sft", "eval": "x", "difference": 0.25, "low": None, "high": 1.0, "n": 9, "verdict": "better", "family": ""}


def test_turned_once_it_is_the_other_way_round_and_twice_the_same():
    measure = Measure("x", "X")
    other = turned(ROW, "sft", measure)
    assert (other["a"], other["b"], other["difference"], other["low"], other["high"]) == ("sft", "ppo", -0.25, -1.0, None)
    assert other["verdict"] == "worse" and turned(other, "ppo", measure) == ROW == turned(ROW, "ppo", measure)


def test_a_quarter_more_is_a_fifth_less():
    other = turned(ROW, "sft", Measure("x", "X", scale="log"))
    assert other["difference"] == pytest.approx(-0.2) and other["low"] == pytest.approx(-0.5) and other["high"] is None
