"""Our intervals against statsmodels and scipy, and by coverage."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from tutelage.core.randomness import stream
from tutelage.core.statistics import Estimate, balanced, mean, paired, rate, within


@pytest.mark.parametrize("successes, n", [(0, 1), (1, 1), (0, 20), (20, 20), (7, 20), (499, 1000), (1, 100_000)])
@pytest.mark.parametrize("level", [0.95, 0.8])
def test_rate_is_wilson(successes: int, n: int, level: float) -> None:
    low, high = proportion_confint(successes, n, alpha=1 - level, method="wilson")
    ours = rate(successes, n, level)
    assert (ours.mean, ours.n, ours.clusters) == (successes / n, n, n)
    assert ours.low == pytest.approx(low, abs=1e-12) and ours.high == pytest.approx(high, abs=1e-12)
    assert 0 <= ours.low <= ours.mean <= ours.high <= 1 and ours.low < ours.high


def sample(seed: int, n: int = 200, groups: int = 17) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ragged clusters, each with its own offset; values and weights."""
    random = stream("statistics", seed)
    group = random.integers(groups, size=n) ** 2 // groups
    return random.normal(size=n) + random.normal(size=groups)[group], group, random.random(n) + 0.1


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("weighted", [False, True])
def test_mean_is_cluster_robust_regression_on_a_constant(seed: int, weighted: bool) -> None:
    x, group, w = sample(seed)
    model = sm.WLS(x, np.ones(len(x)), weights=w) if weighted else sm.OLS(x, np.ones(len(x)))
    oracle = model.fit(cov_type="cluster", cov_kwds={"groups": group}, use_t=True)
    names = [f"prompt {number}" for number in group]
    ours = mean(x.tolist(), names, 0.9, w.tolist() if weighted else None)
    ((low, high),) = oracle.conf_int(0.1)
    assert (ours.mean, ours.low, ours.high) == pytest.approx((oracle.params[0], low, high), rel=1e-10)
    assert (ours.n, ours.clusters) == (200, len(set(names)))


@pytest.mark.parametrize("seed", range(4))
def test_crossed_clusters_are_statsmodels_two_ways(seed: int) -> None:
    x, prompt, w = sample(seed)
    judge = stream("judges", seed).integers(9, size=len(x))
    x = x + judge * 0.3
    fitted = sm.WLS(x, np.ones(len(x)), weights=w).fit(cov_type="cluster", cov_kwds={"groups": np.stack([prompt, judge], 1)})
    ours = mean(x.tolist(), prompt.tolist(), weights=w.tolist(), crossed=[f"ann-{n}" for n in judge])
    half = float(stats.t.ppf(0.975, min(len(set(prompt)), len(set(judge))) - 1)) * float(fitted.bse[0])
    assert (ours.mean, ours.high - ours.mean) == pytest.approx((fitted.params[0], half), rel=1e-10)
    alone = mean(x.tolist(), prompt.tolist(), weights=w.tolist())
    assert ours.high - ours.low > alone.high - alone.low  # judges differ, which clusters of prompts alone don't know


def test_crossed_clusters_that_cover_each_other_add_nothing() -> None:
    x, prompt, _ = sample(2)
    same, once = mean(x.tolist(), prompt.tolist(), crossed=prompt.tolist()), mean(x.tolist(), prompt.tolist())
    assert (same.low, same.high) == pytest.approx((once.low, once.high), rel=1e-10)
    assert mean(x.tolist(), prompt.tolist(), crossed=["only one"] * len(x)).high == math.inf


def test_the_interval_holds_the_truth_as_often_as_it_says_where_judges_differ() -> None:
    covered = naive = 0
    for trial in range(400):
        random = stream("judged", trial)
        x = (random.normal(size=(40, 1)) + random.normal(size=(1, 12)) + random.normal(size=(40, 12))).ravel()
        prompts, judges = np.repeat(np.arange(40), 12).tolist(), np.tile(np.arange(12), 40).tolist()
        both, one = mean(x.tolist(), prompts, crossed=judges), mean(x.tolist(), prompts)
        covered += both.low <= 0 <= both.high
        naive += one.low <= 0 <= one.high
    assert covered >= 0.92 * 400 > naive


def test_without_clusters_it_is_the_t_interval() -> None:
    x = sample(9)[0]
    low, high = stats.t.interval(0.95, len(x) - 1, loc=x.mean(), scale=stats.sem(x))
    ours = mean(x.tolist())
    assert (ours.mean, ours.low, ours.high) == pytest.approx((x.mean(), low, high), rel=1e-12) and ours.clusters == 200


def test_paired_is_the_paired_t_test_and_clusters_by_prompt() -> None:
    x, group, _ = sample(3)
    y = x + sample(4)[0] * 0.1 - 0.2
    test = stats.ttest_rel(x, y).confidence_interval(0.95)
    ours = paired(x.tolist(), y.tolist())
    assert (ours.low, ours.high) == pytest.approx((test.low, test.high), rel=1e-12)
    assert paired(x.tolist(), y.tolist(), group.tolist()) == mean((x - y).tolist(), group.tolist())
    assert paired(y.tolist(), x.tolist()).mean == -ours.mean


def test_doubling_every_value_in_its_cluster_adds_no_certainty() -> None:
    x, _, _ = sample(5)
    once = mean(x.tolist())
    twice = mean(np.repeat(x, 2).tolist(), np.repeat(np.arange(200), 2).tolist())
    assert (twice.mean, twice.low, twice.high) == pytest.approx((once.mean, once.low, once.high), rel=1e-12)
    assert (twice.n, twice.clusters) == (400, 200)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    covered = naive = 0
    for trial in range(600):
        random = stream("coverage", trial)
        x = np.repeat(random.normal(size=30), 4) + 0.3 * random.normal(size=120)
        clustered, flat = mean(x.tolist(), np.repeat(np.arange(30), 4).tolist()), mean(x.tolist())
        covered += clustered.low <= 0 <= clustered.high
        naive += flat.low <= 0 <= flat.high
    assert 0.93 <= covered / 600 <= 0.97 and naive / 600 < 0.8


def test_degenerate_cases_are_as_documented() -> None:
    assert mean([3.0]) == Estimate(3.0, -math.inf, math.inf, 1, 1)
    assert mean([1.0, 2.0], ["p", "p"]) == Estimate(1.5, -math.inf, math.inf, 2, 1)
    assert mean([2.0, 2.0, 2.0]) == Estimate(2.0, 2.0, 2.0, 3, 3)
    assert paired([1.0, 5.0], [0.0, 4.0]) == Estimate(1.0, 1.0, 1.0, 2, 2)
    assert mean([3.0]).plain() == {"mean": 3.0, "low": None, "high": None, "n": 1, "clusters": 1}
    assert rate(1, 2).plain()["low"] == rate(1, 2).low


def test_balanced_weights_groups_equally() -> None:
    families = ["count"] * 9 + ["sort"] * 3
    x = [1.0] * 9 + [0.0] * 3
    assert mean(x, weights=balanced(families)).mean == pytest.approx(0.5)
    assert sum(balanced(families)) == pytest.approx(12)


def test_nonsense_is_refused() -> None:
    for call, message in [
        (lambda: rate(0, 0), "at least one trial"),
        (lambda: rate(3, 2), "3 successes in 2 trials"),
        (lambda: rate(-1, 2), "-1 successes"),
        (lambda: mean([]), "no values"),
        (lambda: mean([1.0, math.nan]), "value 1 is nan"),
        (lambda: mean([1.0], ["a", "b"]), "2 clusters"),
        (lambda: mean([1.0, 2.0], weights=[1.0]), "1 weights"),
        (lambda: mean([1.0], weights=[0.0]), "not all zero"),
        (lambda: mean([1.0, 1.0], weights=[2.0, -1.0]), "none negative"),
        (lambda: paired([1.0], [1.0, 2.0]), "1 values against 2"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()


def test_a_figure_between_two_ends_keeps_within_them_and_open() -> None:
    one = within(mean([3.0], ["a"]), 1, 7)
    low, high = proportion_confint(1 / 3, 1, method="wilson")
    assert (one.low, one.high) == pytest.approx((1 + 6 * low, 1 + 6 * high))
    alike = within(mean([1.0, 1.0], ["a", "b"]), 0, 1)
    assert (alike.low, alike.high) == (rate(2, 2).low, 1.0)
    beyond = within(mean([1.0, 1.0, 1.0, 0.0]), 0, 1)
    assert beyond.high == 1 and 0 <= beyond.low < beyond.mean
    inside = mean([0.5, 0.6, 0.4, 0.5])
    assert within(inside, 0, 1) == inside
