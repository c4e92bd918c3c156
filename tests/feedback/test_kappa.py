"""Kappa: scikit-learn's and statsmodels' numbers, of many people by what they share, and every draw of its interval as defined."""

import numpy as np
import pytest

from tests.feedback.crowd import rated
from tutelage.feedback.agreement.bootstrap import bootstrap
from tutelage.feedback.agreement.kappa import kappa
from tutelage.feedback.agreement.krippendorff import alpha
from tutelage.feedback.agreement.pairwise import pairs_of
from tutelage.feedback.agreement.votes import Votes, tabulate


def two(seed=0, labels=(1, 2, 3, 4, 5), n=120) -> tuple[Votes, list, list]:
    random = np.random.default_rng(seed)
    a = random.integers(0, len(labels), n)
    b = np.clip(a + random.integers(-1, 2, n), 0, len(labels) - 1)
    first, second = [labels[x] for x in a], [labels[x] for x in b]
    items = [(f"i{i}",) for i in range(n)]
    return tabulate(["a"] * n + ["b"] * n, items * 2, first + second), first, second


@pytest.mark.parametrize("seed", range(4))
def test_kappa_is_scikit_learns(seed):
    metrics = pytest.importorskip("sklearn.metrics")
    votes, a, b = two(seed)
    assert kappa(votes, draws=2).mean == pytest.approx(metrics.cohen_kappa_score(a, b), abs=1e-12)
    assert kappa(votes, "quadratic", draws=2).mean == pytest.approx(metrics.cohen_kappa_score(a, b, weights="quadratic"), abs=1e-12)


def test_kappa_is_statsmodels_and_its_interval_alike():
    from statsmodels.stats.inter_rater import cohens_kappa

    votes, a, b = two(3, n=400)
    table = np.zeros((5, 5))
    np.add.at(table, (np.array(a) - 1, np.array(b) - 1), 1)
    for distance, wt in (("plain", None), ("quadratic", "fc")):
        oracle, ours = cohens_kappa(table, wt=wt), kappa(votes, distance)
        assert ours.mean == pytest.approx(oracle.kappa, abs=1e-12)
        assert (ours.low, ours.high) == pytest.approx(
            (oracle.kappa_low, oracle.kappa_upp), abs=0.15 * (oracle.kappa_upp - oracle.kappa_low)
        )


def test_kappa_of_many_weighs_pairs_of_people_by_what_they_share():
    metrics = pytest.importorskip("sklearn.metrics")
    one, a, b = two(1, n=200)
    labels = [one.labels[v] for v in one.label_N]
    far = tabulate(
        [*[one.workers[w] for w in one.worker_N], "c", "d"],
        [*[one.items[i] for i in one.item_N], ("new",), ("new",)],
        [*labels, 1, 5],
    )
    assert abs(kappa(far, draws=2).mean - metrics.cohen_kappa_score(a, b)) < 0.02, "one item of two others is one of 201"


def test_kappa_of_people_who_share_little_is_not_too_low():
    """150 people, each pair of whom meets on an item or two: kappa is what two people would have who judged everything."""
    random = np.random.default_rng(0)
    truth = random.random(1500) < 0.7
    said = np.where(random.random((1500, 3)) < 0.9, truth[:, None], ~truth[:, None])
    pool = np.argsort(random.random((1500, 150)), axis=1)[:, :3].ravel()
    items = [(f"i{n // 3}",) for n in range(4500)]
    names = [("no", "yes")[int(x)] for x in said.ravel()]
    many = kappa(tabulate([f"w{w}" for w in pool], items, names), draws=200)
    three = kappa(tabulate(["a", "b", "c"] * 1500, items, names), draws=200)
    assert many.mean == pytest.approx(three.mean, abs=0.02) and many.low < three.mean < many.high
    assert many.mean == pytest.approx(alpha(tabulate([f"w{w}" for w in pool], items, names), draws=2).mean, abs=0.02)


def slow_kappa(votes: Votes, distance: str, weight_G: np.ndarray) -> float:
    """From the definition, vote by vote, a prompt counting as often as it was drawn."""
    far = (lambda v, w: float(v != w)) if distance == "plain" else (lambda v, w: (v - w) ** 2)
    value_N, weight_N = votes.values_L[votes.label_N], weight_G[votes.group_N]
    seen, shared = 0.0, dict[tuple[int, int], float]()
    for x, y in zip(*(places.tolist() for places in pairs_of(votes))):
        seen += weight_N[x] * far(value_N[x], value_N[y])
        people = int(votes.worker_N[x]), int(votes.worker_N[y])
        shared[people] = shared.get(people, 0.0) + weight_N[x]
    chance = 0.0
    for (a, b), n in shared.items():
        of_a, of_b = votes.worker_N == a, votes.worker_N == b
        apart = sum(
            weight_N[of_a & (value_N == v)].sum() * weight_N[of_b & (value_N == w)].sum() * far(v, w)
            for v in votes.values_L
            for w in votes.values_L
        )
        chance += n * apart / max(weight_N[of_a].sum() * weight_N[of_b].sum(), 1e-300)
    return 1 - seen / chance if chance > 1e-12 else float("nan")


@pytest.mark.parametrize("distance", ["plain", "quadratic"])
@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_kappa_and_its_interval_are_the_definitions(distance, method):
    """Every draw, too: labels far from 0, prompts with several items, people who aren't in every draw."""
    votes = rated(3, people=9, items=36, most=3, labels=(1001, 1002, 1004))
    votes = votes.where(votes.count_I[votes.item_N] >= 2)
    items = [(f"prompt {i // 3}", f"item {i}") for i in votes.item_N]
    votes = tabulate([votes.workers[w] for w in votes.worker_N], items, [votes.labels[v] for v in votes.label_N])
    slow = bootstrap(lambda w: slow_kappa(votes, distance, w), votes.groups, 0, method, draws=60, seed=4)
    found = kappa(votes, distance, method, draws=60, seed=4)
    assert (found.mean, found.low, found.high) == pytest.approx((slow.mean, slow.low, slow.high), abs=1e-12)
    assert found.clusters == 11 and found.low < found.mean < found.high
