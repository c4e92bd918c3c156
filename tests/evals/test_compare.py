import numpy as np
import pytest

from tests.evals.world import PLAIN, result
from tutelage.core.errors import UserError
from tutelage.evals.compare import Claim, claim, compare, compare_all, compare_families, judge
from tutelage.evals.eval import Measure, Result, Sample, measured

LOG = Measure("forgetting", "Perplexity", scale="log", higher_is_better=False)
RANDOM = np.random.default_rng(0)


def pair(gain: float, n: int = 200, noise: float = 0.05) -> tuple[Result, Result]:
    """Two stages on items that differ far more than the stages do."""
    before = RANDOM.uniform(0, 1, n)
    after = before + gain + RANDOM.normal(0, noise, n)
    return result("ppo", after.tolist()), result("sft", before.tolist())


def test_a_difference_is_paired_by_item():
    after, before = pair(0.05)
    found = compare(after, before)
    assert found is not None and found.verdict == "better" and found.n == 200
    assert after.low < before.high  # unpaired, the whiskers overlap
    assert found.high - found.low < 0.03


def test_items_are_matched_by_name_and_not_by_place():
    before = [0.1, 0.5, 0.9, 0.3]
    a = measured(PLAIN, "ppo", [Sample(f"p{n}", "", before[n] + 0.1, f"p{n}") for n in (3, 1, 0, 2)])
    found = compare(a, result("sft", before))
    assert found is not None and found.difference == pytest.approx(0.1) and found.high - found.low < 1e-9


def test_only_shared_items_count_and_without_any_there_is_no_comparison():
    a = measured(PLAIN, "ppo", [Sample("other", "", 1.0, "other")])
    assert compare(a, result("sft", [0.1, 0.2])) is None


def test_an_interval_that_includes_zero_shows_nothing():
    after, before = pair(0.0)
    found = compare(after, before)
    assert found is not None and found.low < 0 < found.high and found.verdict == "not shown"


def test_lower_is_better_turns_the_verdict_and_not_the_difference():
    before = RANDOM.normal(2, 0.3, 100)
    found = compare(result("ppo", (before + np.log(1.06)).tolist(), LOG), result("sft", before.tolist(), LOG))
    assert found is not None and found.verdict == "worse"
    assert found.difference == pytest.approx(0.06)  # a share: 6 % more perplexity


def test_families_weigh_the_same_in_a_difference_too():
    families = ["a"] * 30 + ["b"] * 10
    found = compare(result("ppo", [1.0] * 30 + [0.5] * 10, families=families), result("sft", [0.5] * 40, families=families))
    assert found is not None and found.difference == pytest.approx(0.25)


def test_families_are_compared_worst_first():
    families = ["up"] * 20 + ["down"] * 20
    after = result("ppo", [0.6 + 0.01 * (n % 3) for n in range(20)] + [0.3 + 0.01 * (n % 3) for n in range(20)], families=families)
    found = compare_families(after, result("sft", [0.5] * 40, families=families))
    assert [(c.family, c.verdict, c.n) for c in found] == [("down", "worse", 20), ("up", "better", 20)]


def test_every_later_stage_meets_every_earlier_one():
    stages = [result(name, [0.1, 0.2, 0.4]) for name in ("base", "sft", "ppo")]
    assert [(c.a, c.b) for c in compare_all(stages)] == [("sft", "base"), ("ppo", "base"), ("ppo", "sft")]


def test_claims_are_read_as_recipes_write_them():
    assert claim("ppo > sft on overall by 0.06") == Claim("ppo", "sft", "overall", 0.06)
    assert claim("ppo > sft best of 4 on overall by -0.01") == Claim("ppo", "sft best of 4", "overall", -0.01)
    assert claim("dpo > sft on overall") == Claim("dpo", "sft", "overall", 0.0)
    with pytest.raises(UserError, match="write it as"):
        claim("ppo beats sft")


@pytest.mark.parametrize(
    ("gain", "by", "held", "reason"),
    [
        (0.10, 0.06, True, r"\+0\.\d+"),
        (0.04, 0.06, False, "shown, but smaller"),
        (0.0, 0.0, False, "the interval includes 0"),
        (-0.1, 0.0, False, "the opposite is shown"),
        (0.0, -0.05, True, "reaches down to"),
        (-0.1, -0.05, False, "reaches down to"),
    ],
)
def test_a_claim_is_held_only_when_it_is_shown(gain: float, by: float, held: bool, reason: str):
    import re

    after, before = pair(gain)
    found = judge(Claim("ppo", "sft", "overall", by), compare(after, before), PLAIN)
    assert found.held is held and re.search(reason, found.reason)


def test_a_claim_about_what_was_not_measured_is_not_tested():
    found = judge(Claim("kto", "sft", "overall"), None, PLAIN)
    assert found.held is None and "not tested" in found.reason
