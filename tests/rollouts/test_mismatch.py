"""The correction for another sampler, as arithmetic."""

import numpy as np
import pytest
import torch

from tutelage.core.text import ask
from tutelage.data.tree import OTHER, POLICY
from tutelage.objectives.surrogate import clipped_policy_loss
from tutelage.rollouts.mismatch import corrected, log_ratios, sentence
from tutelage.rollouts.rollout import Group, Rollout


def group(*logp, writers=()):
    rollouts = [Rollout("p", n, tuple(range(len(x))), tuple(x), True, "0", writers=writers) for n, x in enumerate(logp)]
    return Group(ask("p"), (1,), tuple(rollouts))


def test_a_sampler_that_agrees_leaves_every_bit_as_it_was():
    logp = [np.array([-1.0, -0.3]), np.array([-2.0])]
    columns = {"logp": logp, "advantage": [np.array([0.7, -0.1]), np.array([3.0])], "return": logp}
    found, told = corrected(columns, log_ratios([group(*logp)], logp), 2.0)
    assert all(np.array_equal(a, b) for name in columns for a, b in zip(found[name], columns[name], strict=True))
    assert told == {"mismatch_k3": 0.0, "weight": 1.0, "capped": 0.0}


def test_weights_are_ratios_cut_at_the_cap_and_nothing_but_the_advantage_changes():
    ours, theirs = [np.log([0.2, 0.9, 0.3])], [np.log([0.4, 0.3, 0.2])]
    columns = {"logp": ours, "advantage": [np.array([1.0, 1.0, -2.0])], "return": [np.ones(3)]}
    found, told = corrected(columns, log_ratios([group(*theirs)], ours), 2.0)
    assert found["advantage"][0] == pytest.approx([0.5, 2.0, -3.0]) and found["logp"] is ours and found["return"] is columns["return"]
    assert told["capped"] == pytest.approx(1 / 3) and told["weight"] == pytest.approx((0.5 + 2 + 1.5) / 3)
    ratio = np.array([0.5, 3.0, 1.5])
    assert told["mismatch_k3"] == pytest.approx((ratio - 1 - np.log(ratio)).mean())


def test_what_a_tool_wrote_has_no_ratio():
    ours = [np.array([-1.0, -2.0])]
    (found,) = log_ratios([group([-1.5, 0.0, -2.0], writers=(POLICY, OTHER, POLICY))], ours)
    assert found == pytest.approx([0.5, 0.0])


def test_a_weight_before_the_clip_is_a_weight_after_it():
    """Why no objective knows of the correction: a weight that is never negative goes through the minimum."""
    draw = torch.Generator().manual_seed(0)
    ratio, weight = torch.rand(1000, generator=draw) * 2, torch.rand(1000, generator=draw) * 2
    advantage = torch.randn(1000, generator=draw)
    after, before = weight * clipped_policy_loss(ratio, advantage, 0.2), clipped_policy_loss(ratio, weight * advantage, 0.2)
    torch.testing.assert_close(after, before)
    assert not torch.allclose(before, clipped_policy_loss(weight * ratio, advantage, 0.2)), "within the ratio it would be clipped"


def test_the_corrected_gradient_is_the_policys_where_nothing_is_cut():
    """Over all words: sum of mu w A grad log pi is that of pi A grad log pi; without the weight it is another."""
    draw = np.random.default_rng(0)
    logits, other = draw.normal(size=8), draw.normal(size=8) * 0.3
    pi = np.exp(logits) / np.exp(logits).sum()
    mu = np.exp(logits + other) / np.exp(logits + other).sum()
    advantage, score = draw.normal(size=8), np.eye(8) - pi
    columns = {"advantage": [advantage]}
    found, told = corrected(columns, [np.log(pi) - np.log(mu)], 10.0)
    right = (pi * advantage) @ score
    assert (mu * found["advantage"][0]) @ score == pytest.approx(right) and told["capped"] == 0
    assert np.abs((mu * advantage) @ score - right).max() > 1e-2


def test_what_is_large_is_said():
    assert sentence({"gap": 0.02, "capped": 0.0}) == ""
    assert "0.30 nats a token" in sentence({"gap": 0.3, "capped": 0.25, "behind": 0.0}) and "25%" in sentence({"gap": 0.3, "capped": 0.25})
    assert "rounds old" in sentence({"gap": 0.3, "capped": 0.0, "behind": 2.0})
