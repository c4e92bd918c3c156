"""How many labels: what is promised is what simulated studies of that size give."""

import json
from math import sqrt

import numpy as np
import pytest

from tests.feedback.crowd import crowd
from tutelage.core.errors import UserError
from tutelage.core.statistics import mean
from tutelage.feedback.agreement.pairwise import agreement
from tutelage.feedback.agreement.power import needed, noise_for, simulated, spread
from tutelage.feedback.agreement.votes import tabulate


def half(estimate) -> float:
    return (estimate.high - estimate.low) / 2


@pytest.mark.parametrize("overlap", [2, 3, 5])
@pytest.mark.parametrize("expected", [0.65, 0.726, 0.85])
def test_agreement_of_pairs(overlap, expected):
    power = needed("agreement", 0.02, expected, overlap=overlap)
    q = (1 + sqrt(2 * expected - 1)) / 2
    widths = [half(agreement(crowd(seed, items=power.prompts, overlap=overlap, bad=0, honest=q)[0])) for seed in range(10)]
    assert np.mean(widths) == pytest.approx(power.half_width, rel=0.05) and power.half_width <= 0.0201
    assert power.labels == overlap * power.prompts


@pytest.mark.parametrize("responses", [4, 9])
def test_agreement_of_rankings_counts_prompts(responses):
    """A study of that size, votes and all, by the statistic that will be shown."""
    power = needed("agreement", 0.03, 0.726, responses, overlap=2)
    noise, widths = noise_for(0.726), []
    for seed in range(6):
        random = np.random.default_rng(seed)
        worth = random.normal(size=(power.prompts, 1, responses))
        seen = worth + noise * random.normal(size=(power.prompts, 2, responses))
        workers, items, labels = [], [], []
        for prompt in range(power.prompts):
            for person in range(2):
                for i in range(responses):
                    for j in range(i):
                        workers.append("ab"[person]), items.append((str(prompt), str(i), str(j)))
                        labels.append("first" if seen[prompt, person, i] > seen[prompt, person, j] else "second")
        found = agreement(tabulate(workers, items, labels))
        assert abs(found.mean - 0.726) < 0.06 and found.clusters == power.prompts
        widths.append(half(found))
    assert np.mean(widths) == pytest.approx(power.half_width, rel=0.15)
    assert power.design_effect > 1.2, "pairs of one ranking are not independent"
    assert power.labels < needed("agreement", 0.03, 0.726, 2, overlap=2).labels


def test_two_noisy_looks_agree_as_often_as_asked():
    for expected in (0.6, 0.726, 0.9):
        assert simulated("agreement", expected, 2, 2, 60_000).mean() == pytest.approx(expected, abs=0.01)
        assert simulated("reward_accuracy", expected, 4, 1, 20_000).mean() == pytest.approx(expected, abs=0.01)


def test_win_rate_is_binomial():
    power = needed("win_rate", 0.02, 0.5)
    assert abs(power.prompts - (1.96 / 0.02) ** 2 / 4) < 5 and power.design_effect == pytest.approx(1)
    random = np.random.default_rng(0)
    assert half(mean(random.integers(0, 2, power.prompts).tolist())) == pytest.approx(0.02, rel=0.02)


def test_people_are_a_sample_too():
    alone = needed("win_rate", 0.03, 0.55)
    few = needed("win_rate", 0.03, 0.55, people=20, person_sd=0.05)
    many = needed("win_rate", 0.03, 0.55, people=2000, person_sd=0.05)
    assert few.prompts > 1.5 * alone.prompts and many.prompts == pytest.approx(alone.prompts, rel=0.02)
    with pytest.raises(UserError, match="ask at least") as told:
        needed("win_rate", 0.03, 0.55, people=5, person_sd=0.05)
    enough = int(str(told.value).split()[-1])
    assert needed("win_rate", 0.03, 0.55, people=enough, person_sd=0.05).half_width <= 0.0305
    random = np.random.default_rng(1)
    rates = np.clip(0.55 + 0.05 * random.normal(size=(400, 20)), 0, 1)
    figures = (random.random((400, few.prompts)) < np.repeat(rates, -(-few.prompts // 20), axis=1)[:, : few.prompts]).mean(1)
    assert 1.96 * figures.std() == pytest.approx(0.03, rel=0.15)


def test_overlap_buys_less_than_new_prompts():
    once, thrice = (needed("reward_accuracy", 0.02, 0.75, overlap=m) for m in (1, 3))
    assert thrice.prompts < once.prompts and thrice.labels > once.labels
    assert spread("reward_accuracy", 0.75, 2, 1)[0] == pytest.approx(sqrt(0.75 * 0.25))


def test_half_the_width_takes_four_times_as_many():
    wide, narrow = (needed("agreement", width, 0.7, overlap=2).prompts for width in (0.04, 0.02))
    assert narrow / wide == pytest.approx(4, rel=0.02)
    assert needed("agreement", 0.02, 0.726, 4, 2) == needed("agreement", 0.02, 0.726, 4, 2), "the same every time"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"of": "agreement"}, "two people"),
        ({"of": "agreement", "overlap": 2, "expected": 0.4}, "above 0.5"),
        ({"expected": 1.0}, "win rate is between"),
        ({"half_width": 0.0}, "two points are 0.02"),
        ({"half_width": 2.0}, "two points are 0.02"),
        ({"responses": 12}, "2 to 9"),
        ({"overlap": 0}, "at least 1"),
    ],
)
def test_what_can_not_be(asked, said):
    with pytest.raises(UserError, match=said):
        needed(**{"of": "win_rate", "half_width": 0.02, "expected": 0.6, **asked})


def test_figures_are_plain_numbers():
    power = needed("agreement", 0.03, 0.726, 4, 2)
    assert json.loads(json.dumps(vars(power))) == vars(power)
