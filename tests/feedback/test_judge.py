"""What a judge is asked, and what is made of what it says."""

import pytest

from tests.standin import running
from tutelage.core.errors import Interrupted
from tutelage.core.text import Response, ask
from tutelage.feedback.agreement import bias
from tutelage.feedback.agreement.votes import spoken
from tutelage.feedback.judge import Answers, Judge, Price, judged, questions, read_verdict
from tutelage.feedback.tasks import signals_of

SAID = [(ask(f"question {n}"), (Response("short"), Response(f"a longer response, number {n}"))) for n in range(12)]
RANKED = [(ask(f"question {n}"), tuple(Response("word " * k + str(n)) for k in (3, 1, 4, 2))) for n in range(6)]


@pytest.fixture(scope="module")
def server():
    with running() as found:
        yield found


def judge(server, **changes):
    return Judge(**{"url": server.url, "model": "tiny", "tries": 2, **changes})


@pytest.mark.parametrize(
    ("task", "text", "shown", "answer"),
    [
        ("pair", "Verdict: A", (0, 1), {"winner": 0}),
        ("pair", "Verdict: A", (1, 0), {"winner": 1}),
        ("pair", "Verdict: B is it? No.\n**Verdict:** A", (0, 1), {"winner": 0}),
        ("pair", "verdict - Response B.", (0, 1), {"winner": 1}),
        ("pair", "Verdict: a tie", (0, 1), {"winner": "tie"}),
        ("pair", "VERDICT: Tie", (0, 1), {"winner": "tie"}),
        ("pair", "Verdict: A\nB is worse.", (0, 1), {"winner": 0}),
        ("pair", "Verdict: a close call", (0, 1), None),
        ("pair", "Verdict: C", (0, 1), None),
        ("pair", "A is better", (0, 1), None),
        ("pair", "", (0, 1), None),
        ("ranking", "Verdict: B > A = C", (2, 0, 1), {"tiers": [[0], [1, 2]]}),
        ("ranking", "**Verdict**: `C > B > A`", (0, 1, 2), {"tiers": [[2], [1], [0]]}),
        ("ranking", "Verdict: B > A", (0, 1, 2), None),
        ("ranking", "Verdict: B > A > B", (0, 1), None),
        ("ranking", "Verdict: A, clearly", (0, 1), None),
    ],
)
def test_the_last_verdict_is_read_or_nothing(task, text, shown, answer):
    assert read_verdict(task, text, shown) == answer


@pytest.mark.parametrize(("task", "said"), [("pair", SAID), ("ranking", RANKED)])
def test_both_orders_are_asked_and_each_is_kept_raw(server, tmp_path, task, said):
    server.tell()
    found = judged(judge(server), task, said, 0, Answers(tmp_path / "a"))
    assert len(found.annotations) == 2 * len(said) and not found.unread
    assert (found.read_tokens, found.written_tokens) == (200 * len(said), 20 * len(said))
    for one, two in zip(found.annotations[::2], found.annotations[1::2], strict=True):
        assert one.shown == two.shown[::-1] and one.prompt is two.prompt and one.id != two.id
        assert one.weight + two.weight == 1 and one.annotator == "judge:tiny" and one.guideline
        assert one.answer == two.answer, "the longer one, wherever it stood"
        best = {signal.winner for signal in signals_of(one)} - {signal.loser for signal in signals_of(one)}
        assert best == {max(range(len(one.responses)), key=lambda n: len(one.responses[n].text))}
    votes = spoken(found.annotations)
    assert bias.consistency(votes).mean == 1 and bias.position(votes).mean == 0.5 and bias.length(votes).mean == 1


def test_a_judge_that_takes_what_stands_first_is_found_out_and_cancels(server, tmp_path):
    server.tell(way="first")
    found = judged(judge(server), "pair", SAID, 0, Answers(tmp_path / "a"))
    votes = spoken(found.annotations)
    assert bias.position(votes).mean == 1 and bias.consistency(votes).mean == 0
    wins = [0.0, 0.0]
    for annotation in found.annotations:
        wins[annotation.answer["winner"]] += annotation.weight
    assert wins[0] == wins[1] > 0


def test_nothing_is_asked_twice(server, tmp_path):
    server.tell()
    server.seen()
    first = judged(judge(server), "pair", SAID, 0, Answers(tmp_path / "a"))
    assert len(server.seen()["seen"]) == 24
    again = judged(judge(server, together=2, timeout=9, price=Price(1, 1)), "pair", SAID, 0, Answers(tmp_path / "a"))
    assert again == first and not server.seen()["seen"], "how it is asked changes nothing of what is asked"
    judged(judge(server, guideline="Prefer brevity."), "pair", SAID[:3], 0, Answers(tmp_path / "a"))
    assert len(server.seen()["seen"]) == 6, "another question is another question"


def test_killed_in_the_middle_it_asks_for_the_rest_alone(tmp_path):
    with running() as server:
        server.tell(faults=[None] * 9 + ["die"])
        with pytest.raises(Interrupted):
            judged(judge(server, together=1, tries=1), "pair", SAID, 0, Answers(tmp_path / "a"))
        kept = len(Answers(tmp_path / "a").rows)
        server.stop()
        server.start()
        server.seen()
        found = judged(judge(server), "pair", SAID, 0, Answers(tmp_path / "a"))
        assert kept == 9 and len(server.seen()["seen"]) == 24 - kept and len(found.annotations) == 24


def test_an_item_of_which_one_order_cannot_be_read_is_left_out_whole(server, tmp_path):
    server.tell()
    answers = Answers(tmp_path / "a")
    first = questions(judge(server), "pair", *SAID[0], 0)[0]
    answers.keep({"id": first.id(judge(server)), "text": "I can't say.", "read": 1, "written": 1})
    found = judged(judge(server), "pair", SAID, 0, answers)
    assert found.unread == ("I can't say.",) and len(found.annotations) == 22
    assert SAID[0][0].id not in {annotation.prompt.id for annotation in found.annotations}


def test_the_question_holds_everything_and_the_key_is_not_in_it(server):
    one, two = questions(judge(server, key="JUDGE_KEY"), "ranking", *RANKED[0], 0)
    text = one.body["messages"][1]["content"]
    assert "question 0" in text and all(r.text in text for r in RANKED[0][1]) and "<response D>" in text and "Verdict: B > A = C" in text
    assert text.index(RANKED[0][1][one.shown[0]].text) < text.index(RANKED[0][1][one.shown[1]].text)
    assert one.body["temperature"] == 0.0 and "KEY" not in str(one.body) and one.id(judge(server)) != two.id(judge(server))
    assert "temperature" not in questions(judge(server, temperature=None), "pair", *SAID[0], 0)[0].body
