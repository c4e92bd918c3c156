"""A judge by URL in a pipeline, against a stand-in for a server that answers over HTTP in a process of its own."""

import json

import pytest

from tests.recipes.heard import Heard
from tests.recipes.pages import page
from tests.standin import running
from tutelage.core.errors import Interrupted, UserError
from tutelage.feedback.store import Store
from tutelage.recipes.plan import forecast
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import run

KEY = "sk-a-secret-of-the-team"
PAGE = """\
schema: 1
model: {new: nano}
inputs: {text: synthetic:text, demonstrations: synthetic:demonstrations, prompts: synthetic:prompts}
stages:
  base:   {method: pretrain, data: text, tokens: 8000}
  judged: {method: label, policy: base, prompts: prompts, count: 12, responses: 3, sampling: {max_tokens: 8}, chunk: 4, by: judge,
           judge: {url: "URL", model: tiny, key: TEAM_KEY, tries: 1, together: 1, price: {read: 0.5, written: 2.0}}}
  reward: {method: reward, init: base, preferences: judged}
"""


@pytest.fixture(scope="module")
def server():
    with running("--key", KEY) as found:
        yield found


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("TEAM_KEY", KEY)


def recipe(tmp_path, server, *changes):
    return load(page(tmp_path, PAGE.replace("URL", server.url)), changes)


def test_a_reward_model_learns_from_a_judge_and_a_run_that_was_cut_asks_for_the_rest_alone(tmp_path, server):
    server.tell(faults=[None] * 13 + [500])
    server.seen()
    with pytest.raises(Interrupted, match="500: told to say 500"):
        run(recipe(tmp_path, server), tmp_path / "run", progress=Heard())
    assert len(server.seen()["seen"]) == 14
    heard = Heard()
    done = run(recipe(tmp_path, server), tmp_path / "run", progress=heard)
    assert len(server.seen()["seen"]) == 24 - 13, "nothing is asked twice"
    told = done.artifacts["judged"].results
    assert told["annotators"] == {"judge:tiny": 24} and done.artifacts["reward"].results["consumed"] == {"judge:tiny": 24}
    assert told["judge"]["answers"] == 24 and told["judge"]["unread"] == 0 and told["judge"]["same_twice"]["mean"] == 1
    assert told["judge"]["price"] == pytest.approx((24 * 100 * 0.5 + 24 * 10 * 2.0) / 1000)
    told_before = next(n for n, note in enumerate(heard.notes) if "is sent 12 prompts with their responses" in note)
    assert told_before < next(n for n, note in enumerate(heard.notes) if "preferred what stood first in 50%" in note)
    for annotation in Store(done.artifacts["judged"].path / "annotations.sqlite").read():
        assert annotation.responses[0].ids, "what was sampled is learnt from, never its letters"
    written = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert not [path for path in written if KEY.encode() in path.read_bytes()], "the key is in no file"
    journal = (tmp_path / "run" / "journal.jsonl").read_text()
    assert any(json.loads(line).get("judge") == told["judge"]["host"] for line in journal.splitlines())
    again = run(recipe(tmp_path, server, "stages.judged.judge.timeout=9"), tmp_path / "run", progress=Heard())
    assert again.artifacts["judged"].results["store"] == told["store"] and not server.seen()["seen"]


def test_a_judge_swayed_by_place_is_told_of(tmp_path, server):
    server.tell(way="first")
    heard = Heard()
    run(recipe(tmp_path, server, "stages.judged.task=pair", "stages.judged.responses=2"), tmp_path / "run", progress=heard)
    assert any("stood first in 100% " in note and "place sways it" in note for note in heard.notes)


def test_a_judge_that_cannot_be_read_stops_the_run(tmp_path, server):
    server.tell(way="mute")
    with pytest.raises(UserError, match=r"24 of 24 answers of tiny hold no verdict, such as 'Both have their merits.'"):
        run(recipe(tmp_path, server), tmp_path / "run", progress=Heard())


def test_the_plan_says_what_it_costs(tmp_path, server):
    bills = {row.step.name: row.bill for row in forecast(recipe(tmp_path, server), tmp_path / "nowhere")}
    assert bills["judged"].startswith(f"judged: 24 questions to {server.url[7:-3]}, about ") and "by its price" in bills["judged"]
    assert not bills["base"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("by=people",), "judge: is asked only where the stage says by: judge"),
        (("judge=null",), "by: a judge has an address"),
        (("task=best_worst",), "a judge is asked for a pair or a ranking, not for best_worst"),
        (("overlap=2",), "a judge is asked once for each order"),
        (("enough=0.5",), "enough: is about people"),
        (("judge.key=NOT_SET_ANYWHERE",), "judge.key: .* set the environment variable NOT_SET_ANYWHERE"),
        (("judge.key=sk-abc",), "never the key itself"),
        (("judge.url=host",), "an address such as"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_runs(tmp_path, server, changes, said):
    with pytest.raises(UserError, match=said):
        recipe(tmp_path, server, *(f"stages.judged.{change}" for change in changes))
