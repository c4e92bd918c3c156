"""An annotation task in one file outside of the package: found by its import path, stored, learnt from, and shown as it is in the docs."""

from itertools import permutations, product
from pathlib import Path

import pytest

from tutelage.core.errors import UserError
from tutelage.core.text import Response, ask
from tutelage.feedback import tasks
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.store import Store

HERE = Path(__file__).parent
TASK = "sendable:Sendable"


@pytest.fixture
def sendable(monkeypatch: pytest.MonkeyPatch) -> type[tasks.Answer]:
    monkeypatch.syspath_prepend(HERE)
    return tasks.load(TASK)


def test_what_every_task_promises(sendable: type[tasks.Answer]):
    for send in product([True, False], repeat=3):
        answer = sendable.from_answer({"send": send})
        assert sendable.from_answer(answer.to_answer()) == answer
        assert sum(signal.weight for signal in answer.signals(3)) == pytest.approx(len(set(send)) - 1)
        for shown in permutations(range(3)):
            assert sendable.from_form(answer.to_form(shown), shown) == answer


def test_it_is_stored_and_learnt_from_like_any_other(sendable: type[tasks.Answer], tmp_path: Path):
    said = Annotation(ask("hi"), tuple(map(Response, "abc")), TASK, {"send": [False, True, False]}, "ann-01", aspect="tone")
    store = Store(tmp_path / "store.sqlite")
    store.append([said])
    (found,) = store.read(task=TASK)
    assert [(s.winner, s.loser, s.weight, s.aspect) for s in tasks.signals_of(found)] == [(1, 0, 0.5, "tone"), (1, 2, 0.5, "tone")]


def test_it_speaks_to_the_annotator(sendable: type[tasks.Answer]):
    posted = {"send-0": "yes", "send-1": "no", "send-2": "no"}
    assert sendable.from_form(posted, (2, 0, 1)).to_answer() == {"send": [False, False, True]}
    assert sendable.from_form(posted, (2, 0, 1)).said((2, 0, 1)) == "Send A"
    with pytest.raises(UserError, match=r"^Response C has no verdict yet\.$"):
        sendable.from_form({"send-0": "yes", "send-1": "no"}, (2, 0, 1))


def test_the_page_shows_this_file():
    assert (HERE / "sendable.py").read_text() in (HERE.parents[1] / "docs" / "annotations.md").read_text()
