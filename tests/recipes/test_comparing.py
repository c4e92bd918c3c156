"""A judge by URL compares models: its verdicts are pairs' means over both orders, its habits are said, and nothing is asked twice."""

import json
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from tests.recipes.heard import Heard
from tests.recipes.pages import page
from tests.standin import running
from tutelage.core.errors import Interrupted, UserError
from tutelage.core.text import ask
from tutelage.evals.eval import Answer
from tutelage.feedback import judge as judges
from tutelage.feedback.judge import Judge
from tutelage.feedback.store import Store
from tutelage.recipes.comparing import judged_by_model
from tutelage.recipes.plan import forecast
from tutelage.recipes.recipe import load
from tutelage.recipes.runner import run
from tutelage.recipes.work import Work

SUMS = [(n, 3 * n + 1) for n in range(60)]
PROMPTS = tuple(ask(f"What is {a} + {b}?") for a, b in SUMS)
RIGHT = [a + b for a, b in SUMS]
PAGE = """\
schema: 1
model: {new: nano}
inputs: {text: synthetic:text, demonstrations: synthetic:demonstrations, prompts: synthetic:prompts}
stages:
  base:   {method: pretrain, data: text, tokens: 8000}
  other:  {like: base, tokens: 12000}
  report: {method: evaluate, models: [base, other], by: judge, ask: 6, count: 6, sampling: {max_tokens: 8},
           judge: {url: "URL", model: tiny, tries: 1, together: 1, price: {read: 0.5, written: 2.0}}}
"""


@pytest.fixture(scope="module")
def server():
    with running() as found:
        yield found


@dataclass
class Said:
    """A stage whose answers are known."""

    stage: str
    texts: list[str]
    material: SimpleNamespace = field(default_factory=lambda: SimpleNamespace(prompts=PROMPTS))

    def answers(self, prompts):
        return [(Answer(text, (), True, 0.0),) for text in self.texts[: len(prompts)]]


BASE = Said("base", [f"{n if k % 2 else n + 1} it is" for k, n in enumerate(RIGHT)])
"""Right on every other prompt."""
TERSE = Said("terse", [f"{n if k % 4 < 3 else n + 2}" for k, n in enumerate(RIGHT)])
"""Right on three of four, and always shorter."""
WORDY = Said("wordy", [f"{n + 3} it is, of course, and nothing else would do" for n in RIGHT])
"""Always wrong, and always longer."""
TRUE = {"terse": [0.5 + ((k % 4 < 3) - (k % 2)) / 2 for k in range(60)], "wordy": [0.5 - (k % 2) / 2 for k in range(60)]}


def work(tmp_path, heard=None):
    (tmp_path / "stage").mkdir(parents=True, exist_ok=True)
    return Work("report", tmp_path / "stage", 0, None, None, heard or Heard(), lambda event: None, tmp_path)


def compared(server, tmp_path, way, subjects=(BASE, TERSE, WORDY), **changes):
    server.tell(way=way)
    return judged_by_model(work(tmp_path), subjects, 60, Judge(**{"url": server.url, "model": "tiny", "tries": 1, **changes}))


def figures(judged, name):
    return {r.stage: r for r in judged.found.results if r.eval == name}


def test_a_judge_that_knows_the_truth_finds_it_clustered_by_prompt(server, tmp_path):
    judged = compared(server, tmp_path, "truth")
    won = figures(judged, "preferred_by_judge")
    assert {r.measure.title for r in won.values()} == {"Preferred over base, by judge:tiny"} and set(won) == {"terse", "wordy"}
    for stage, result in won.items():
        values = np.array(TRUE[stage])
        low, high = stats.t.interval(0.95, 59, values.mean(), values.std(ddof=1) / np.sqrt(60))
        assert (result.mean, result.low, result.high) == pytest.approx((values.mean(), max(0, low), min(1, high))) and result.n == 60
        draws = np.random.default_rng(0).choice(values, (20_000, 60)).mean(1)
        assert (result.low, result.high) == pytest.approx(np.quantile(draws, (0.025, 0.975)), abs=0.012), "prompts drawn anew"
    (terse, wordy) = judged.found.comparisons
    assert (terse.a, terse.b, terse.verdict, wordy.verdict) == ("terse", "base", "better", "worse")
    assert judged.told["judge"]["same_twice"]["mean"] == 1 and judged.told["judge"]["first_wins"]["mean"] == 0.5
    assert not figures(judged, "preferred") and not figures(judged, "quality"), "nothing stands under people's names"


def test_a_judge_that_takes_the_first_place_says_nothing_and_is_told_of(server, tmp_path):
    judged = compared(server, tmp_path, "first")
    for result in figures(judged, "preferred_by_judge").values():
        assert {sample.value for sample in result.samples} == {0.5} and result.mean == 0.5
        assert result.low < 0.45 and result.high > 0.55, "sixty verdicts that cancel are not certainty"
    assert all(one.verdict == "not shown" for one in judged.found.comparisons)
    assert judged.told["judge"]["first_wins"]["mean"] == 1 and judged.told["judge"]["same_twice"]["mean"] == 0
    assert any("stood first in 100% " in note and "place sways it" in note for note in judged.notes)
    assert all(r.mean == 0.5 and r.low < 0.45 for r in figures(judged, "longer_won").values()), "one of the two is the longer one"
    assert any("the longer one won in 50% (95 % interval 38% to 62%)" in note for note in judged.notes)


def test_where_both_orders_are_one_the_first_place_wins_and_it_is_seen(server, tmp_path, monkeypatch):
    """The fault, planted: without the reverse order a judge of places decides every prompt."""
    both = judges.questions

    def unreversed(*given):
        one, _ = both(*given)
        return one, one

    monkeypatch.setattr(judges, "questions", unreversed)
    with pytest.raises(AssertionError):
        test_a_judge_that_takes_the_first_place_says_nothing_and_is_told_of(server, tmp_path)


def test_a_judge_of_length_prefers_what_is_longer_and_the_report_says_so(server, tmp_path):
    judged = compared(server, tmp_path, "longer")
    won, longer = figures(judged, "preferred_by_judge"), figures(judged, "longer_won")
    assert (won["terse"].mean, won["wordy"].mean) == (0, 1) and won["terse"].high > 0 and won["wordy"].low < 1
    assert {stage: (r.mean, r.n) for stage, r in longer.items()} == {"terse": (1, 120), "wordy": (1, 120)}
    assert all(0.9 < r.low < 1 and not r.measure.main for r in longer.values()), "its interval counts prompts, and never closes"
    assert longer["terse"].low == pytest.approx(60 / (60 + 1.959964**2)), "Wilson's, of sixty prompts and not of 120 verdicts"
    assert any("Zheng et al. 2023" in note and "the longer one won in 100%" in note for note in judged.notes)
    assert judged.told["judge"]["longer_wins"]["mean"] == 1


def test_the_judge_is_told_nothing_of_who_answered(server, tmp_path):
    server.seen()
    compared(server, tmp_path, "longer")
    asked = [json.dumps(body) for _, body in server.seen()["seen"]]
    assert len(asked) == 240 and not [text for text in asked for stage in ("terse", "wordy", "base") if stage in text]


def test_answers_alike_are_ties_and_one_that_two_gave_is_asked_about_once(server, tmp_path):
    server.seen()
    twin = Said("twin", [TERSE.texts[k] if k < 30 else BASE.texts[k] for k in range(60)])
    judged = compared(server, tmp_path, "truth", (BASE, TERSE, twin))
    assert len(server.seen()["seen"]) == 120
    won = figures(judged, "preferred_by_judge")["twin"]
    assert won.n == 60 and won.mean == pytest.approx(np.mean(TRUE["terse"][:30] + [0.5] * 30))
    assert "twin and base gave 30 of 60 answers alike: ties" in judged.notes
    with pytest.raises(UserError, match="all models say the same"):
        compared(server, tmp_path, "truth", (BASE, Said("copy", BASE.texts)))


def test_answers_without_a_verdict_leave_their_pair_out_and_too_many_stop_it(server, tmp_path):
    whole = compared(server, tmp_path, "truth", (BASE, TERSE), together=1)
    path = tmp_path / "judge.jsonl"
    kept = [json.loads(line) for line in path.read_text().splitlines()]
    for cut, said in ((9, "9 of 60 pairs"), (60, ""), (61, "")):
        folder = tmp_path / str(cut)
        folder.mkdir()
        muted = [{**row, "text": "Hm."} if (n % 2 == 0 and n // 2 < cut) or n < 2 * (cut - 60) else row for n, row in enumerate(kept)]
        (folder / "judge.jsonl").write_text("".join(json.dumps(row) + "\n" for row in muted))
        if not said:
            with pytest.raises(UserError, match=r"of 120 answers of tiny hold no verdict, such as 'Hm.'"):
                compared(server, folder, "truth", (BASE, TERSE), together=1)
            continue
        judged = compared(server, folder, "truth", (BASE, TERSE), together=1)
        assert judged.told["judge"]["unread"] == cut and any(said in note for note in judged.notes)
        assert figures(judged, "preferred_by_judge")["terse"].n == 60 - cut < figures(whole, "preferred_by_judge")["terse"].n


def test_a_run_that_was_cut_asks_for_the_rest_alone_and_its_report_says_who_judged(server, tmp_path):
    recipe = load(page(tmp_path, PAGE.replace("URL", server.url)))
    server.tell(faults=[None] * 5 + [500])
    server.seen()
    with pytest.raises(Interrupted, match="500: told to say 500"):
        run(recipe, tmp_path / "run", progress=Heard())
    assert len(server.seen()["seen"]) == 6
    heard = Heard()
    made = run(recipe, tmp_path / "run", progress=heard).artifacts["report"]
    assert len(server.seen()["seen"]) == 12 - 5, "nothing is asked twice"
    assert any("is sent 6 pairs of answers with their prompts, as text, twice each, and nothing else" in note for note in heard.notes)
    told, plain = made.results, json.loads((made.path / "report.json").read_text())
    assert told["annotators"] == {"judge:tiny": 12} and told["study"] == "judge" and told["judge"]["answers"] == 12
    assert told["judge"]["price"] == pytest.approx((12 * 100 * 0.5 + 12 * 10 * 2.0) / 1000)
    assert set(plain["evals"]) == {"preferred_by_judge", "longer_won"} and "by judge:tiny" in plain["sentence"]
    assert [(row["name"], row["rows"], row["unit"]) for row in plain["people"]] == [("judge:tiny", 12, "verdicts of a model")]
    assert "Preferred over base, by judge:tiny" in (made.path / "report.html").read_text()
    kept = list(Store(made.path / "annotations.sqlite").read())
    wins = [a.responses[a.answer["winner"]].by == "other" for a in kept]
    assert len(kept) == 12 and plain["evals"]["preferred_by_judge"]["other"]["mean"] == pytest.approx(sum(wins) / 12)
    again = run(load(page(tmp_path, PAGE.replace("URL", server.url)), ["stages.report.judge.timeout=9"]), tmp_path / "run", Heard())
    assert again.artifacts["report"].results["store"] == told["store"] and not server.seen()["seen"]


def test_the_plan_says_what_it_costs_and_asks_nobody(server, tmp_path):
    server.seen()
    bills = {row.step.name: row.bill for row in forecast(load(page(tmp_path, PAGE.replace("URL", server.url))), tmp_path / "nowhere")}
    assert bills["report"].startswith(f"report: 12 questions to {server.url[7:-3]}, about ") and "by its price" in bills["report"]
    assert not server.seen()["seen"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (("by=people",), "judge: is asked only where the stage says by: judge"),
        (("by=evals",), "judge: is asked only where the stage says by: judge"),
        (("judge=null",), "by: a judge has an address"),
        (("models=[base]",), "models: a judge compares models with the first one; name two or more that answer"),
        (("prompts=null",), "prompts: a judge compares answers to prompts; name an input of prompts"),
        (("overlap=2",), "a judge is asked once for each order"),
        (("enough=0.5",), "enough: is about people"),
        (("judge.key=NOT_SET_ANYWHERE",), "judge.key: .* set the environment variable NOT_SET_ANYWHERE"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_runs(tmp_path, server, changes, said):
    with pytest.raises(UserError, match=said):
        load(page(tmp_path, PAGE.replace("URL", server.url)), [f"stages.report.{change}" for change in changes])


@pytest.mark.parametrize(
    ("there", "instead", "said"),
    [
        ("by: judge, ", "", r"small\.yaml line 8: stages\.report\.judge: is asked only where"),
        (", other],", "],", r"small\.yaml line 7: stages\.report\.models: a judge compares models"),
        ("ask: 6", "prompts: null", r"small\.yaml line 7: stages\.report\.prompts: a judge compares answers"),
    ],
)
def test_a_fault_names_the_line_of_the_recipe(tmp_path, server, there, instead, said):
    with pytest.raises(UserError, match=said):
        load(page(tmp_path, PAGE.replace("URL", server.url).replace(there, instead)))
