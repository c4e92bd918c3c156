import numpy as np
import pytest

from tests.rollouts.table import Table
from tutelage.core.text import ask
from tutelage.data.tree import OTHER, POLICY, Tree
from tutelage.rollouts.monitor import exact_kl, figures
from tutelage.rollouts.reading import read_responses
from tutelage.rollouts.rollout import Group, Reward, Rollout

ROLLOUTS = [
    Rollout("p", 0, (5, 6, 1), (-1.0, -2.0, -3.0), True, "0", scores={"judge": 2.0}, rewards=(Reward(2, 2.0, "judge"),)),
    Rollout("p", 1, (7, 8, 9), (-1.5, 0.0, -0.5), False, "0", (POLICY, OTHER, POLICY), {"judge": 3.0}, rewards=(Reward(2, -1.0, "cut"),)),
]


def test_every_figure_is_what_its_line_says():
    logp = [np.array([-1.0, -2.5, -3.0]), np.array([-1.5, -0.5])]
    reference = [np.array([-2.0, -2.0, -4.0]), np.array([-1.0, -0.5])]
    returns, value = [np.array([1.0, 2.0, 3.0]), np.array([-1.0, -1.0])], [np.array([1.0, 2.0, 2.0]), np.array([-1.0, -1.0])]
    groups = [Group(ask("p"), (3,), tuple(ROLLOUTS))]
    told = figures(groups, {"logp": logp, "logp@reference": reference}, {"return": returns, "value": value})
    every = np.concatenate(returns)
    assert told == pytest.approx(
        {
            "kl": ((1.0 - 0.5 + 1.0) + (-0.5)) / 2,  # nats per response, not per token
            "score": (2.0 - 1.0) / 2,
            "score/judge": 2.5,
            "length": 2.5,
            "finished": 0.5,
            "entropy": 8.5 / 5,
            "gap": 0.5 / 5,
            "equal": 0.0,
            "value_explained": 1 - np.array([0, 0, 1.0, 0, 0]).var() / every.var(),
        }
    )


def test_without_a_reference_or_a_value_nothing_is_told_of_them_and_equal_scores_are_counted():
    logp = [np.array([-1.0, -2.5, -3.0])] * 3
    groups = [Group(ask("p"), (3,), (ROLLOUTS[0],) * 2), Group(ask("q"), (3,), (ROLLOUTS[0],))]
    told = figures(groups, {"logp": logp}, {"advantage": logp})
    assert told["equal"] == 1.0 and not {"kl", "value_explained"} & set(told)
    assert "equal" not in figures(groups[1:], {"logp": logp[:1]}, {})


def test_the_exact_kl_sums_over_words_and_tokens():
    policy = Table(words=12)
    policy.logits["reference"] = policy.logits["reference"].roll(1, 0)
    own, other = (policy.logits[role].detach().log_softmax(-1).numpy() for role in ("policy", "reference"))
    per_row = (np.exp(own) * (own - other)).sum(1)
    trees = [Tree((2, 3), ((4, 1), (5, 6, 7))), Tree((8,), ((9,),))]
    assert exact_kl(policy, trees) == pytest.approx([per_row[3] + per_row[4], per_row[[3, 5, 6]].sum(), per_row[8]])


def test_the_length_of_a_stream_changes_no_number_and_keeps_the_order():
    trees = [Tree((2,), ((3, 4), (5,))), Tree((6, 7), ((8, 9, 1),)), Tree((3,), ((1,), (2, 2), (4,)))]
    policy, needs = Table(words=12), ("logp", "value@value", "score@reward")
    whole = read_responses(policy, trees, needs)
    assert [len(x) for x in whole["logp"]] == [2, 1, 3, 1, 2, 1] and all(len(x) == 1 for x in whole["score@reward"])
    for tokens in (1, 9):
        parts = read_responses(policy, trees, needs, tokens)
        assert all(np.allclose(a, b, atol=1e-14) for need in needs for a, b in zip(whole[need], parts[need], strict=True))
