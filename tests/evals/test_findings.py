import pytest

from tests.evals.world import NOTES, PLAIN, result
from tutelage.core.errors import UserError
from tutelage.evals.compare import claim, compare_all
from tutelage.evals.eval import Measure, Result
from tutelage.evals.findings import Findings, headline_stage, judged_claims, number, pretty, sentence, signed

LOG = Measure("forgetting", "Perplexity on held-out text", scale="log", higher_is_better=False)
SIDE = Measure("side", "Something beside", main=False)


def values(mean: float) -> list[float]:
    """Forty items around a mean, the same ups and downs in each stage, up to a little."""
    return [mean + 0.02 * (n % 5 - 2) + 0.001 * ((n * round(1000 * mean)) % 7) for n in range(40)]


def findings(*results: Result, main: str = "") -> Findings:
    return Findings("instructgpt", NOTES, results, compare_all(results), main=main)


def test_the_sentence_says_what_is_better_by_how_much_and_that_nothing_is_worse():
    found = findings(result("sft", values(0.5)), result("ppo", values(0.62)))
    assert (
        sentence(found)
        == "PPO is better than SFT by 0.12 (0.12 to 0.12) on overall gold. It is not shown to be worse at anything that was measured."
    )


def test_the_sentence_names_what_got_worse():
    families = ["list_all"] * 20 + ["sort"] * 20
    found = findings(
        result("sft", [0.5] * 20 + values(0.5)[:20], families=families),
        result("ppo", [0.8 + 0.01 * (n % 2) for n in range(20)] + values(0.4)[:20], families=families),
        result("sft", values(2.0), LOG),
        result("ppo", values(2.1), LOG),
        result("sft", values(0.5), SIDE),
        result("ppo", values(0.1), SIDE),
    )
    said = sentence(found)
    assert said.startswith("PPO is better than SFT by 0.10")
    assert said.endswith("It got worse at perplexity on held-out text (+10.2\u00a0%) and sort (−0.10).")


def test_the_sentence_says_when_nothing_is_shown():
    found = findings(result("sft", [0.5, 0.1, 0.9, 0.4]), result("ppo", [0.4, 0.3, 0.8, 0.5]))
    assert sentence(found).startswith("No difference between PPO and SFT is shown on overall gold: +0.03 (−0.21 to +0.26, n = 4).")


def test_the_sentence_says_when_it_got_worse():
    assert sentence(findings(result("sft", values(0.6)), result("ppo", values(0.5)))).startswith("PPO is worse than SFT by 0.10")


def test_one_stage_alone_is_reported_without_comparison():
    said = sentence(findings(result("sft", values(0.5))))
    assert said == "SFT has 0.50 (0.49 to 0.51, n = 40) on overall gold; nothing was measured that it could be compared with."


def test_one_item_gives_no_interval_and_shows_nothing():
    said = sentence(findings(result("sft", [0.5]), result("ppo", [0.9])))
    assert said.startswith("No difference between PPO and SFT is shown on overall gold: +0.40 (no interval, n = 1).")


def test_nothing_at_all():
    assert sentence(findings()) == "Nothing was measured."


def test_the_report_is_about_the_first_of_the_last_generation():
    stages = [result(name, values(0.5)) for name in ("base", "sft", "ppo", "dpo")]
    judge = result("reward_model", values(0.7), Measure("reward_accuracy", "Accuracy"))
    assert headline_stage(findings(*stages, judge)) == "ppo"
    assert headline_stage(findings(*stages, main="dpo")) == "dpo"


def test_a_main_stage_that_was_not_measured_is_refused():
    with pytest.raises(UserError, match="'kto' has no results"):
        sentence(findings(result("sft", values(0.5)), main="kto"))


def test_the_parent_is_the_nearest_ancestor_that_was_measured():
    found = findings(result("base", values(0.1)), result("ppo", values(0.5)))
    assert found.parent("ppo") == "base"


def test_claims_are_judged_in_either_order_of_stages():
    found = findings(result("sft", values(0.5)), result("ppo", values(0.6)))
    up, down, absent = judged_claims(
        found, [claim("ppo > sft on overall by 0.05"), claim("sft > ppo on overall"), claim("kto > sft on overall")]
    )
    assert (up.held, down.held, absent.held) == (True, False, None)
    assert down.reason == "the opposite is shown"


def test_names_for_people():
    assert [pretty(n) for n in ("ppo_no_ptx", "reward_model", "sft best of 4", "base")] == [
        "PPO no PTX",
        "Reward model",
        "SFT best of 4",
        "Base",
    ]
    assert PLAIN.title == "Overall gold"


def test_numbers_have_a_true_minus_and_no_sign_on_nothing():
    assert [number(x, PLAIN) for x in (0.5, -0.25, -0.001, 123.45, 1234.5)] == ["0.50", "\u22120.25", "0.00", "123.5", "1,234"]
    assert [signed(x, PLAIN) for x in (0.125, -0.125, 0.001, -0.001)] == ["+0.12", "\u22120.12", "0.00", "0.00"]
    assert [signed(x, LOG) for x in (0.021, -0.0001)] == ["+2.1\u00a0%", "0.0\u00a0%"]
