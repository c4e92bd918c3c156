import math

import pytest

from tests.evals.world import PLAIN, result
from tutelage.core import statistics
from tutelage.core.errors import UserError
from tutelage.evals.eval import Measure, Sample, measured, ratio

LOG = Measure("perplexity", "Perplexity", scale="log", higher_is_better=False)


def test_families_weigh_the_same_however_many_items_they_have():
    found = result("sft", [1.0] * 9 + [0.0] * 3, families=["a"] * 9 + ["b"] * 3)
    assert found.mean == pytest.approx(0.5)
    assert {name: part.mean for name, part in found.families.items()} == {"a": 1.0, "b": 0.0}
    assert {name: part.n for name, part in found.families.items()} == {"a": 9, "b": 3}


def test_a_measure_that_is_not_balanced_weighs_items():
    found = result("sft", [1.0] * 9 + [0.0] * 3, Measure("x", "X"), ["a"] * 9 + ["b"] * 3)
    assert found.mean == pytest.approx(0.75)


def test_a_rate_has_the_interval_of_wilson_and_never_closes():
    found = result("sft", [1.0] * 20, Measure("x", "X"))
    assert (found.mean, found.low, found.high) == (1.0, *[pytest.approx(v) for v in (statistics.rate(20, 20).low, 1.0)])
    assert found.low < 0.9


def test_clustered_zeros_and_ones_are_no_independent_trials():
    samples = [Sample(f"{n}", "", float(n < 10), f"cluster {n // 5}") for n in range(20)]
    found = measured(Measure("x", "X"), "reward_model", samples)
    assert found.high - found.low > 1.5 * (statistics.rate(10, 20).high - statistics.rate(10, 20).low)


def test_a_log_measure_is_shown_as_its_exponential():
    found = result("sft", [1.0, 2.0, 3.0], LOG)
    assert found.mean == pytest.approx(math.exp(2.0))
    assert found.low < found.mean < found.high


def test_a_ratio_is_that_of_the_totals():
    nats, tokens = [10.0, 30.0, 2.0], [10, 20, 2]
    values = ratio(nats, tokens)
    assert sum(values) / 3 == pytest.approx(42 / 32)
    # The delta method's variance of a ratio: sum (y - r x)^2 over n (n - 1) mean(x)^2.
    r = 42 / 32
    residual = sum((y - r * x) ** 2 for y, x in zip(nats, tokens, strict=True))
    mean = sum(values) / 3
    assert sum((v - mean) ** 2 for v in values) == pytest.approx(residual / (32 / 3) ** 2)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_refused_in_a_sentence(value: float):
    with pytest.raises(UserError, match=r"eval overall of stage ppo is .* on item p1; such a model diverged"):
        result("ppo", [0.5, value])


def test_an_eval_without_items_is_refused():
    with pytest.raises(UserError, match="has no items"):
        measured(PLAIN, "ppo", [])


def test_one_item_has_a_figure_and_no_interval():
    found = result("sft", [0.4])
    assert found.mean == 0.4 and found.low == -math.inf and found.high == math.inf
