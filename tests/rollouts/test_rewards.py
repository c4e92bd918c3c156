import sys

import pytest

from tutelage.core.errors import UserError
from tutelage.core.text import ask
from tutelage.rollouts.rewards import RewardModel, RuleReward, load_rule, rewarded
from tutelage.rollouts.rollout import Group, Reward, Rollout


def group(*lengths, cut=()):
    rollouts = [Rollout("p", k, tuple(range(n)), (-1.0,) * n, k not in cut, "0") for k, n in enumerate(lengths)]
    return Group(ask("what?"), (3, 4), tuple(rollouts))


def shout(prompt, response):
    return len(response.text) + (10 if response.finished else 0) + len(prompt.last)


def test_the_score_is_placed_on_the_last_written_token():
    (done,) = rewarded([group(1, 5)], [[0.25], [2.0]], [RewardModel()], -1.0)
    assert [r.rewards for r in done.rollouts] == [(Reward(0, 0.25, "reward"),), (Reward(4, 2.0, "reward"),)]
    assert [r.score for r in done.rollouts] == [0.25, 2.0]


def test_a_cut_response_earns_the_cut_score_and_keeps_what_it_was_scored():
    (done,) = rewarded([group(3, 5, cut=(1,))], [[0.25], [9.0]], [RewardModel()], -1.0)
    assert done.rollouts[1].rewards == (Reward(4, -1.0, "cut"),) and done.rollouts[1].scores == {"reward": 9.0}
    (kept,) = rewarded([group(3, 5, cut=(1,))], [[0.25], [9.0]], [RewardModel()], None)
    assert kept.rollouts[1].score == 9.0


def test_several_scorers_are_summed_with_their_weights_each_reading_its_own():
    rule = RuleReward("shout", shout, decode=lambda ids: "x" * len(ids), weight=0.5)
    scorers = [RewardModel(weight=2.0), rule, RewardModel("second")]
    (done,) = rewarded([group(3)], [[1.0, 7.0]], scorers, -1.0)
    assert done.rollouts[0].scores == {"reward": 1.0, "shout": 18.0, "second": 7.0}
    assert done.rollouts[0].score == 2.0 + 9.0 + 7.0


def test_a_rule_is_loaded_by_import_path_and_mistakes_are_named(tmp_path, monkeypatch):
    (tmp_path / "myrules.py").write_text("import math\n\ndef long(prompt, response):\n    return math.nan\n")
    (tmp_path / "broken.py").write_text("import no_such_thing\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    rule = load_rule("myrules:long")
    with pytest.raises(UserError, match=r"nan for prompt .*finite"):
        rewarded([group(2)], [[]], [RuleReward("long", rule, decode=str)], -1.0)
    for path, words in (
        ("myrules", "package.module:function"),
        ("nowhere.at.all:f", "no module"),
        ("myrules:short", "no function 'short'"),
    ):
        with pytest.raises(UserError, match=words):
            load_rule(path)
    with pytest.raises(ModuleNotFoundError, match="no_such_thing"):
        load_rule("broken:f")
    sys.modules.pop("myrules", None)
