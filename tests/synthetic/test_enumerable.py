"""The closed form of the enumerable family, against brute force."""

import numpy as np
import pytest

from tutelage.core.randomness import stream
from tutelage.synthetic import enumerable


def reference() -> np.ndarray:
    weights = stream("reference").random(33) + 0.05
    return weights / weights.sum()


def test_outcomes_are_words_and_everything_else():
    assert len(enumerable.ANSWERS) == 32
    assert enumerable.outcome("cat") == enumerable.ANSWERS.index("cat")
    for text in ("", "cat dog", "bread", "cat ."):
        assert enumerable.outcome(text) == enumerable.ELSE
    assert enumerable.outcome("cat", finished=False) == enumerable.ELSE
    assert enumerable.reward("", seed=3) == enumerable.REWARD_OF_ELSE
    assert enumerable.outcomes(np.full(32, 1 / 64))[-1] == pytest.approx(0.5)


@pytest.mark.parametrize("beta", [0.05, 0.5, 5.0])
def test_optimum_is_consistent_and_no_policy_beats_it(beta: float):
    ref, reward = reference(), enumerable.rewards()
    best = enumerable.optimum(ref, reward, beta)
    assert best.probabilities.sum() == pytest.approx(1)
    assert best.value == pytest.approx(best.reward - beta * best.kl)
    assert best.value == pytest.approx(enumerable.objective(best.probabilities, ref, reward, beta))
    random = stream("rivals", 0)
    for scale in (1e-3, 1e-1, 1.0):
        for _ in range(30):
            rival = best.probabilities * np.exp(scale * random.standard_normal(33))
            assert enumerable.objective(rival / rival.sum(), ref, reward, beta) < best.value


def test_optimum_of_two_outcomes_by_hand():
    best = enumerable.optimum(np.array([0.5, 0.5]), np.array([np.log(3.0), 0.0]), 1.0)
    assert best.probabilities == pytest.approx([0.75, 0.25])
    assert best.value == pytest.approx(np.log(2.0))
    assert best.kl == pytest.approx(0.75 * np.log(1.5) + 0.25 * np.log(0.5))
    assert best.entropy == pytest.approx(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))


def test_what_the_reference_never_says_stays_unsaid():
    ref = np.array([0.5, 0.5, 0.0])
    best = enumerable.optimum(ref, np.array([0.0, 1.0, 9.0]), 0.1)
    assert best.probabilities[2] == 0
    assert np.isfinite(best.kl)
    assert enumerable.objective(np.array([0.0, 0.0, 1.0]), ref, np.zeros(3), 0.1) == -np.inf


def test_demonstrations_use_all_answers():
    random = stream("all", 0)
    said = {enumerable.demonstration(random).response.text for _ in range(500)}
    assert said == set(enumerable.ANSWERS)
