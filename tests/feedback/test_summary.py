"""The summary of a study: planted faults are found and named, and where there is too little nothing is said."""

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest

from tests.feedback.crowd import rankings
from tutelage.core.errors import UserError
from tutelage.core.text import Prompt, Response, ask
from tutelage.feedback.agreement import bias
from tutelage.feedback.agreement.guidance import Guidance, guidance
from tutelage.feedback.agreement.hours import worked
from tutelage.feedback.agreement.pace import pace, said, time_of
from tutelage.feedback.agreement.people import reliabilities
from tutelage.feedback.agreement.summary import Summary, summarize
from tutelage.feedback.agreement.tables import hours_csv, reliability_csv
from tutelage.feedback.agreement.votes import spoken, votes_of
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.store import Store
from tutelage.feedback.store.events import Event

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)  # a Tuesday
PEOPLE = ("ann-01", "ann-02", "ann-03", "ann-04")


def study(
    prompts=200, seed=0, q=0.836, people=PEOPLE, ties=(), flips=(), first=(), confused=(), overlap=2, start=NOW - timedelta(hours=6)
) -> list[Annotation]:
    """Pairs, each by `overlap` people a minute apart; some call ties, answer the opposite, take the first, or don't know medicine."""
    random = np.random.default_rng(seed)
    made: list[Annotation] = []
    for n in range(prompts):
        topic = ("medical", "code", "letters")[n % 3]
        texts = (f"good {n}" + " and long" * int(random.integers(0, 4)), f"bad {n}" + " and long" * int(random.integers(0, 4)))
        for person in random.permutation(people)[:overlap]:
            shown = tuple(random.permutation(2).tolist())
            chance = 1 - q if person in flips else 0.5 if person in confused and topic == "medical" else q
            winner = int(random.random() > chance)
            if person in first and random.random() < 0.6:
                winner = shown[0]
            answer = {"winner": "tie" if person in ties and random.random() < 0.5 else winner}
            at = (start + timedelta(seconds=30 * len(made))).isoformat()
            responses = (Response(texts[0]), Response(texts[1]))
            prompt = Prompt(ask(f"question {n}").messages, {"topic": topic})
            made.append(Annotation(prompt, responses, "pair", answer, str(person), shown=shown, seconds=40.0, at=at))
    return made


def test_the_first_line_is_the_issues():
    annotations = study(206, ties=("ann-03",), seed=1)
    found = summarize(annotations, of=1000, pay_per_hour=40.0, now=NOW, draws=50)
    line = found.first_line()
    assert line.startswith("412 of 1,000 done, Tuesday 14:00, 2.0 labels/min, $183; agreement 0.7")
    a, q = found.questions[0].preferring, found.questions[0].ceiling
    assert f"agreement {a.mean:.2f} ({a.low:.2f}-{a.high:.2f}): these labels cap the reward model near {100 * q.mean:.0f} %;" in line
    assert line.endswith("; ann-03 needs guidance on ties.")


def test_where_there_is_too_little_nothing_is_said():
    assert summarize([], now=NOW).first_line() == "0 labels."
    few = summarize(study(5), of=100, pay_per_hour=None, now=NOW, draws=20)
    assert few.first_line() == "10 of 100 done."
    alone = summarize(study(100, overlap=1), now=NOW, draws=20)
    assert alone.first_line() == "100 labels, 2.0 labels/min." and alone.questions[0].agreement is None


@pytest.mark.parametrize("seed", range(12))
def test_a_quiet_study_names_nobody(seed):
    assert summarize(study(300, seed=seed), now=NOW, draws=2).guidance is None


@pytest.mark.parametrize(
    ("planted", "topic", "words"),
    [
        ({"ties": ("ann-02",)}, "ties", "ann-02 needs guidance on ties"),
        ({"flips": ("ann-02",)}, "", "ann-02 answers the opposite of the others"),
        ({"confused": ("ann-02",), "q": 0.93}, "medical", "ann-02 needs guidance on medical"),
    ],
)
def test_the_one_who_was_planted_is_named(planted, topic, words):
    found = summarize(study(900, seed=2, **planted), now=NOW, draws=2)
    assert found.guidance is not None and (found.guidance.person, found.guidance.topic) == ("ann-02", topic)
    assert words in found.first_line()


def test_guidance_is_not_given_at_the_usual_rate_of_chance():
    named = sum(guidance(votes_of(study(120, seed=seed)), {}) is not None for seed in range(60))
    assert named <= 3, "1 % of 60 studies"
    assert Guidance("ann-01", "", 0.2, 5.0, 100).said() == "ann-01 needs guidance"


def test_reliability_is_how_often_somebody_is_right():
    annotations = study(1500, seed=4, flips=("ann-04",), overlap=3)
    found = reliabilities(votes_of(annotations))
    assert found["ann-04"].high < 0.3 and all(0.78 < found[name].mean < 0.9 for name in PEOPLE[:3])
    assert reliabilities(votes_of(study(50, overlap=1))) == {}


def test_who_takes_the_first_is_seen():
    annotations = study(400, seed=3, first=("ann-01",))
    rows = {person.name: person for person in summarize(annotations, now=NOW, draws=2).people}
    assert rows["ann-01"].position.low > 0.6 and all(rows[n].position.low < 0.5 < rows[n].position.high for n in PEOPLE[1:])
    again = [replace(a, shown=a.shown[::-1]) for a in annotations]
    assert bias.position(spoken(again)).mean == pytest.approx(1 - bias.position(spoken(annotations)).mean)


def test_who_takes_the_longer_is_seen():
    annotations = study(300, q=0.5, seed=5)
    longer = [
        replace(a, answer={"winner": int(len(a.responses[1].text) > len(a.responses[0].text))})
        for a in annotations
        if len(a.responses[0].text) != len(a.responses[1].text)
    ]
    assert bias.length(spoken(longer)).mean == 1 and bias.length(spoken(longer)).low < 1
    fair = bias.length(spoken(annotations))
    assert fair.low < 0.5 < fair.high


def test_haste_that_costs_is_seen():
    """Quick answers are coin tosses; and against statsmodels' clustered regression on slow or quick."""
    import statsmodels.api as sm

    random = np.random.default_rng(0)
    steady = [replace(a, seconds=float(random.uniform(20, 60))) for a in study(600, seed=6)]
    fair = bias.haste(spoken(steady))
    assert fair.low < 0 < fair.high and fair.n == 1200
    hasty = [replace(a, answer={"winner": int(random.integers(2))}) if a.seconds < 35 else a for a in steady]
    found = bias.haste(spoken(hasty))
    assert found.low > 0.03
    votes = spoken(hasty)
    middle = {n: np.median([v.seconds for v in votes if v.worker == n]) for n in PEOPLE}
    others = {v.item: {} for v in votes}
    for v in votes:
        others[v.item][v.worker] = v.label
    kept = [v for v in votes if v.seconds != middle[v.worker]]
    alike = [next(label for name, label in others[v.item].items() if name != v.worker) == v.label for v in kept]
    slow = sm.add_constant([float(v.seconds > middle[v.worker]) for v in kept])
    places = {name: n for n, name in enumerate(dict.fromkeys(v.item[0] for v in kept))}
    fit = sm.OLS(np.array(alike, float), slow).fit()
    robust = fit.get_robustcov_results("cluster", groups=[places[v.item[0]] for v in kept], use_correction=True, df_correction=True)
    scale = np.sqrt((len(kept) - 1) / (len(kept) - 2))  # statsmodels' own factor for two parameters
    assert found.mean == pytest.approx(robust.params[1], abs=1e-9)
    assert (found.high - found.mean) * scale == pytest.approx(robust.conf_int()[1, 1] - robust.params[1], rel=1e-6)
    assert bias.haste(spoken(study(50))) is None, "all took as long"


def test_bias_of_rankings_is_of_every_pair():
    found = bias.position(spoken(rankings(0, prompts=50)))
    assert found.n == 50 * 3 * 6 and found.clusters == 50


def test_consistency_is_of_the_same_person_on_the_same_item():
    once = study(150, seed=1)
    again = [replace(a, shown=a.shown[::-1], at=(NOW + timedelta(minutes=1)).isoformat()) for a in once[:80]]
    turned = [replace(a, answer={"winner": 1 - a.answer["winner"]}) for a in again[:20]]
    assert bias.consistency(spoken([*once, *again])).mean == 1
    found = bias.consistency(spoken([*once, *turned, *again[20:]]))
    assert found.mean == pytest.approx(0.75) and found.n == 80 and found.clusters == 40
    assert bias.consistency(spoken(once)) is None
    assert summarize(once, [*turned, *again[20:]], now=NOW, draws=2).consistency == found, "given apart, the same"


def test_the_median_holds_its_chance():
    hits = 0
    for seed in range(300):
        found = bias.median(np.random.default_rng(seed).lognormal(0, 1, 30).tolist())
        hits += found.low <= 1.0 <= found.high
    assert 280 <= hits <= 299
    assert bias.median([]) is None and bias.median([3.0, 1.0, 2.0]).mean == 2 and bias.median([1.0, 2.0]).low == -np.inf


def test_pauses_are_no_slow_work():
    times = [NOW - timedelta(hours=20) + timedelta(seconds=30 * n) for n in range(60)]
    later = [time + timedelta(hours=12) for time in times]
    found = pace([*times, *later], 120, NOW)
    assert found.per_minute == pytest.approx(2.0) and found.finish == NOW + timedelta(hours=1)


def test_from_a_day_on_a_forecast_knows_of_nights():
    days = [NOW - timedelta(days=3) + timedelta(days=day, minutes=n) for day in range(3) for n in range(241)]
    found = pace(days, 720, NOW)
    assert found.per_minute == pytest.approx(1.0)
    assert found.finish - NOW == pytest.approx(timedelta(days=3), abs=timedelta(minutes=30)), "three more days like these"


def test_too_few_or_too_fast_say_nothing():
    assert pace([NOW - timedelta(minutes=n) for n in range(15)], 10, NOW).per_minute is None
    assert pace([NOW - timedelta(seconds=n) for n in range(100)], 10, NOW).per_minute is None, "under two minutes of work"
    assert pace([NOW - timedelta(minutes=n) for n in range(60)], 0, NOW).finish is None, "all is done"


def test_times_are_named_as_people_do():
    assert said(datetime(2026, 11, 26, 13, 31, tzinfo=UTC), NOW) == "Thursday 14:00"
    assert said(datetime(2026, 11, 26, 14, 0, tzinfo=UTC), NOW) == "Thursday 14:00"
    assert said(datetime(2026, 11, 26, 23, 45, tzinfo=UTC), NOW) == "Friday 00:00"
    assert said(datetime(2026, 12, 3, 10, 0, tzinfo=UTC), NOW) == "3 December"
    assert time_of("2026-11-24T10:00:00+02:00") == datetime(2026, 11, 24, 8, 0, tzinfo=UTC) and time_of("") is None
    assert time_of("2026-11-24T10:00:00").tzinfo is UTC
    with pytest.raises(UserError, match="'yesterday' is no time"):
        time_of("yesterday")


def test_a_forecast_is_told_in_the_readers_time_zone():
    east = timezone(timedelta(hours=5))
    found = summarize(study(206), of=1000, now=NOW.astimezone(east), draws=2)
    assert "Tuesday 19:00" in found.first_line()


def test_kinds_are_kept_apart():
    random = np.random.default_rng(0)
    stars = [
        replace(a, task="likert", answer={"values": [int(random.integers(4, 7)), int(random.integers(1, 5))]}, aspect="truthful")
        for a in study(60)
    ]
    found = summarize([*study(200), *stars], now=NOW, draws=20)
    assert [(question.kind, question.aspect) for question in found.questions] == [("likert", "truthful"), ("order", "overall")][::-1]
    order, rated = found.questions
    assert order.ceiling and order.alpha_ordinal is None and order.kappa_quadratic is None
    assert rated.ceiling is None and rated.alpha_ordinal.mean > rated.alpha.mean and rated.alpha_interval and rated.kappa_quadratic
    assert "alpha 0." in summarize(stars, now=NOW, draws=20).first_line()


def test_several_questions_on_one_sheet_are_counted_and_paid_once():
    asked = study(100)
    also = [replace(a, task="likert", answer={"values": [5, 3]}) for a in asked]
    one, two = (summarize(given, of=400, now=NOW, draws=2) for given in (asked, [*asked, *also]))
    assert two.done == one.done == 200 and two.hours == pytest.approx(one.hours) == pytest.approx(200 * 40 / 3600)
    assert two.pace == one.pace and len(two.questions) == 2


def test_gold_and_what_is_asked_again_is_paid_and_not_counted():
    asked = study(100)
    spent = dict.fromkeys({a.annotator for a in asked}, 1.5) | {"ann-99": 0.25}
    found = summarize(asked, hours=spent, now=NOW, draws=2)
    assert found.done == 200 and found.hours == pytest.approx(sum(spent.values()))
    assert found.consistency is None and found.questions == summarize(asked, now=NOW, draws=2).questions
    assert [(p.annotations, p.hours) for p in found.people if p.name == "ann-99"] == [(0, 0.25)]  # only gold, or only skips
    again = summarize(asked, repeats=[replace(a, at="") for a in study(10, seed=1)], now=NOW, draws=2)
    assert again.done == 200 and again.hours == pytest.approx(220 * 40 / 3600)


def test_a_stores_hours_are_of_all_that_was_done(place):
    """Each submit once, superseded ones and skips too; what was brought as a file has its time on each annotation."""
    store, (a, b, *_) = Store(place), study(2)

    def add(submit, kind, who, ms, purpose="work", supersedes=None, n=1):
        told = [replace(x, annotator=who, task=task) for task, x in (("pair", a), ("tie", a))][:n] if kind == "annotation" else [None]
        event = Event(submit, kind, who, purpose, active_ms=ms, supersedes=supersedes)
        store.record([replace(event, n=place, annotation=one) for place, one in enumerate(told)])

    add("s1", "annotation", "p", 1000, n=2)
    add("s2", "annotation", "p", 200, supersedes="s1")
    add("s3", "undo", "p", 9999, supersedes="s2")
    add("s4", "skip", "p", 30)
    for n, purpose in enumerate(("gold", "repeat", "practice", "screening", "adjudication")):
        add(f"q{n}", "annotation", "q", 10, purpose)
    assert store.active_ms() == {"p": 1230, "q": 50}
    store.append([replace(a, annotator="r"), replace(a, annotator="r", task="likert"), replace(b, annotator="q")], "import")
    assert worked(store) == {"p": 1230 / 3_600_000, "q": pytest.approx(50 / 3_600_000 + b.seconds / 3600), "r": a.seconds / 3600}
    store.erase("p")
    assert set(worked(store)) == {"q", "r"}


def test_everything_goes_into_json():
    found = summarize(study(60), of=200, pay_per_hour=10, now=NOW, draws=20)
    plain = json.loads(json.dumps(found.plain()))
    assert plain["first_line"] == found.first_line() and plain["pace"]["finish"].startswith("2026-11-24T")
    assert plain["questions"][0]["agreement"]["mean"] == found.questions[0].agreement.mean
    assert len(plain["people"]) == 4 and plain["people"][0]["hours"] == found.people[0].hours
    assert isinstance(found, Summary) and hash(found.questions)


def test_hours_and_reliability_as_csv():
    annotations = [replace(a, annotator="=HYPERLINK(1)" if a.annotator == "ann-01" else a.annotator) for a in study(90)]
    found = summarize(annotations, now=NOW, draws=2)
    hours = list(csv.DictReader(io.StringIO(hours_csv(found.people, 36.0))))
    assert sum(float(row["hours"]) for row in hours) == pytest.approx(180 * 40 / 3600, abs=0.001)
    assert sum(float(row["pay"]) for row in hours) == pytest.approx(72, abs=0.05) and hours[0]["person"] == "'=HYPERLINK(1)"
    assert "pay" not in hours_csv(found.people).splitlines()[0]
    rows = list(csv.DictReader(io.StringIO(reliability_csv(found.people))))
    assert [row["person"] for row in rows[1:]] == list(PEOPLE[1:])
    assert (
        float(rows[1]["agreement_low"]) < float(rows[1]["agreement"]) and rows[1]["consistency"] == "" and rows[1]["consistency_n"] == "0"
    )
