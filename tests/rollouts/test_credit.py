import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tutelage.data.tree import OTHER, POLICY
from tutelage.rollouts.credit import Credit, credit, gae, kl_reward, moments, placed, whiten
from tutelage.rollouts.rollout import Reward, Rollout

NUMBERS = st.lists(st.tuples(*[st.floats(-3, 3)] * 2), min_size=1, max_size=12)


def rollout(length, *rewards, finished=True, writers=()):
    return Rollout("p", 0, tuple(range(length)), (-1.0,) * length, finished, "0", writers, rewards=rewards)


@settings(max_examples=60, deadline=None)
@given(NUMBERS, st.floats(0.5, 1), st.floats(0, 1))
def test_gae_equals_its_definition_as_a_double_sum(pairs, discount, trace):
    earned, value = (np.array(column) for column in zip(*pairs))
    n = len(earned)
    delta = [earned[t] + discount * (value[t + 1] if t + 1 < n else 0) - value[t] for t in range(n)]
    direct = [sum((discount * trace) ** (u - t) * delta[u] for u in range(t, n)) for t in range(n)]
    assert np.allclose(gae(earned, value, discount, trace), direct, atol=1e-10)


def test_with_full_trace_the_return_is_what_was_earned_from_there_on_whatever_the_value():
    earned, value = np.array([0.1, -0.2, 1.0]), np.array([5.0, -7.0, 2.0])
    assert np.allclose(gae(earned, value, 1.0, 1.0) + value, [0.9, 0.8, 1.0])
    assert np.allclose(gae(earned, value, 1.0, 0.0) + value, [0.1 - 7.0, -0.2 + 2.0, 1.0])


def test_a_reward_is_placed_on_its_token_and_anothers_words_pass_it_back_to_the_policy():
    assert placed((Reward(2, 0.5, "a"), Reward(2, 0.25, "b")), (0, 1, 2)).tolist() == [0, 0, 0.75]
    assert placed((Reward(3, 1.0, "a"),), (0, 1, 4)).tolist() == [0, 1.0, 0]
    with pytest.raises(ValueError, match="written nothing yet"):
        placed((Reward(0, 1.0, "a"),), (1, 2))


def test_the_kl_is_paid_per_token_and_is_nothing_where_the_two_agree():
    assert kl_reward(np.array([-1.0, -2.0]), np.array([-1.5, -1.0]), 0.1).tolist() == pytest.approx([-0.05, 0.1])
    assert not kl_reward(np.array([-1.0, -2.0]), np.array([-1.0, -2.0]), 0.1).any()


def test_advantages_are_whitened_over_the_whole_batch_and_returns_are_not():
    draw = np.random.default_rng(0)
    rollouts = [rollout(n, Reward(n - 1, 3.0 * n, "score")) for n in (1, 4, 2, 7)]
    logp, reference, value = ([draw.normal(size=len(r.ids)) for r in rollouts] for _ in range(3))
    by = Credit(kl_coef=0.1)
    made = credit(rollouts, logp, reference, value, by)
    every = np.concatenate(made.advantage)
    assert every.mean() == pytest.approx(0, abs=1e-12) and every.std() == pytest.approx(1, abs=1e-6)
    raw = [gae(placed(r.rewards, r.written) - 0.1 * (a - b), v, 1.0, 0.95) for r, a, b, v in zip(rollouts, logp, reference, value)]
    assert all(np.allclose(g, a + v, atol=1e-12) for g, a, v in zip(made.returns, raw, value))
    # The planted fault: whitening each half by itself gives other advantages, and their order between halves is lost.
    halves = [*whiten(raw[:2], moments(raw[:2])), *whiten(raw[2:], moments(raw[2:]))]
    assert max(abs(a - b).max() for a, b in zip(halves, made.advantage)) > 0.1


def test_moments_of_parts_add_up_to_those_of_the_whole():
    arrays = [np.array([1.0, 2.0]), np.array([4.0]), np.array([-3.0, 0.5, 0.5])]
    both = moments(arrays[:1]) + moments(arrays[1:])
    assert both == moments(arrays)
    assert np.concatenate(whiten(arrays, both)).std() == pytest.approx(1)


def test_equal_advantages_are_whitened_to_nothing_not_to_noise():
    assert np.abs(np.concatenate(whiten([np.full(3, 0.7)], moments([np.full(3, 0.7)])))).max() < 1e-6


def test_only_the_policys_tokens_earn():
    one = rollout(4, Reward(3, 1.0, "score"), writers=(POLICY, OTHER, OTHER, POLICY))
    zeros = [np.zeros(2)]
    made = credit([one], zeros, zeros, zeros, Credit(trace=1.0))
    assert len(made.returns[0]) == 2 and made.returns[0].tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="the policy among them"):
        rollout(2, writers=(OTHER, OTHER))
