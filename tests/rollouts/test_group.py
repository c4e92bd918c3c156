"""Advantages by comparison, against numpy, closed forms, and what they are for: the policy gradient without bias."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.core.text import ask
from tutelage.data.tree import OTHER, POLICY
from tutelage.rollouts.group import GroupCredit, relative
from tutelage.rollouts.rollout import Group, Reward, Rollout

REWARDS = st.lists(st.lists(st.floats(-3, 3), min_size=2, max_size=6), min_size=1, max_size=5)


def arrays(groups):
    return [np.array(group, dtype=float) for group in groups]


@settings(max_examples=80, deadline=None)
@given(REWARDS, st.sampled_from(["group", "batch", "none"]), st.sampled_from(["mean", "leave_one_out"]))
def test_it_is_what_its_equations_say_response_by_response(groups, scale, baseline):
    every = [r for group in groups for r in group]

    def deviation(numbers):
        mean = sum(numbers) / len(numbers)
        return (sum((r - mean) ** 2 for r in numbers) / (len(numbers) - 1)) ** 0.5

    for own, found in zip(groups, relative(arrays(groups), baseline, scale), strict=True):
        for k, reward in enumerate(own):
            compared = own if baseline == "mean" else own[:k] + own[k + 1 :]
            divisor = {"group": deviation(own) + 1e-4, "batch": deviation(every) + 1e-4, "none": 1.0}[scale]
            assert found[k] == pytest.approx((reward - sum(compared) / len(compared)) / divisor, abs=1e-9, rel=1e-9)


def test_two_responses_have_closed_forms():
    assert relative(arrays([[1.0, 0.0]]), scale="none")[0].tolist() == [0.5, -0.5]
    assert relative(arrays([[1.0, 0.0]]), "leave_one_out", "none")[0].tolist() == [1.0, -1.0]
    assert relative(arrays([[3.0, -5.0]]))[0] == pytest.approx([0.5**0.5, -(0.5**0.5)], rel=1e-4)
    low, high = relative(arrays([[1.0, 0.0], [8.0, 0.0]]), scale="batch")
    assert high == pytest.approx(8 * low), "one number divides all groups, so their sizes are kept"


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
def test_a_group_that_earned_the_same_throughout_is_exactly_nothing(scale):
    assert np.mean([0.1] * 3) != 0.1, "the mean of equal numbers is not always that number"
    same, other = relative(arrays([[0.1] * 3, [1.0, 0.0, 0.0]]), scale=scale)
    assert same.tolist() == [0.0] * 3 and other.any()


def test_rounding_is_not_blown_up_to_an_advantage():
    assert np.abs(relative(arrays([[0.7, 0.7 + 1e-7]]))[0]).max() < 1e-2
    # The planted fault: without the least deviation it would be.
    assert abs(1e-7 / 2 / np.std([0.0, 1e-7], ddof=1)) > 0.7


def test_a_group_of_one_is_refused():
    with pytest.raises(ValueError, match="two responses or more"):
        relative(arrays([[1.0, 2.0], [1.0]]))


def test_leave_one_out_is_without_bias_and_the_groups_own_mean_is_by_its_known_factor():
    """A policy with one parameter, P(1) = p, and a reward of 1 for the answer 1: dE[r]/dp = 1, summed exactly over all groups of K."""
    p, k = 0.3, 3

    def slope(baseline):
        total = 0.0
        for answers in np.ndindex(*(2,) * k):
            chance = np.prod([p if a else 1 - p for a in answers])
            advantage = relative([np.array(answers, dtype=float)], baseline, "none")[0]
            total += chance * np.mean([adv * (1 / p if a else -1 / (1 - p)) for a, adv in zip(answers, advantage)])
        return total

    assert slope("leave_one_out") == pytest.approx(1.0) and slope("mean") == pytest.approx((k - 1) / k)


def rollout(score, length=2, writers=()):
    return Rollout("p", 0, tuple(range(length)), (-1.0,) * length, True, "0", writers, rewards=(Reward(length - 1, score, "score"),))


def test_every_token_of_a_response_has_its_responses_advantage_and_others_words_have_none():
    groups = [Group(ask("p"), (3,), (rollout(1.0, 3, (POLICY, OTHER, POLICY)), rollout(0.0, 1)))]
    read = {"logp": [np.array([-1.0, -2.0]), np.array([-3.0])]}
    made = GroupCredit(scale="none").columns(groups, read)
    assert [a.tolist() for a in made["advantage"]] == [[0.5, 0.5], [-0.5]] and made["logp"] is read["logp"]


def test_the_kl_of_the_whole_response_is_paid_by_its_reward():
    groups = [Group(ask("p"), (3,), (rollout(1.0), rollout(1.0)))]
    read = {"logp": [np.array([-1.0, -2.0]), np.array([-1.0, -1.0])], "logp@reference": [np.array([-2.0, -2.0]), np.array([-1.0, -4.0])]}
    by = GroupCredit(kl_coef=0.1, scale="none")
    assert by.needs == ("logp", "logp@reference")
    assert np.concatenate(by.columns(groups, read)["advantage"]) == pytest.approx([0.1, 0.1, -0.1, -0.1])


def test_what_the_loss_wants_again_is_read_once_and_kept():
    by = GroupCredit(kept=("logp@reference",))
    read = {name: [np.zeros(2), np.zeros(2)] for name in by.needs}
    made = by.columns([Group(ask("p"), (3,), (rollout(1.0), rollout(0.0)))], read)
    assert by.needs == ("logp", "logp@reference") and set(made) == {"logp", "advantage", "logp@reference"}
    assert GroupCredit().needs == ("logp",)
