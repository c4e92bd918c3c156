"""What holds of every task: forms of answers, the laws of signals, the way over the screen and back, names."""

import json
import sys
import types
from dataclasses import fields, is_dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.feedback.answers import ANSWERS, Case, cases
from tutelage.core.errors import UserError
from tutelage.core.text import Response, ask
from tutelage.feedback import tasks
from tutelage.feedback.annotation import Annotation, from_plain, to_plain
from tutelage.feedback.signals import Label, Preference
from tutelage.feedback.tasks.form import Field
from tutelage.feedback.tasks.pair import Pair
from tutelage.feedback.tasks.ranking import Ranking

EVERY = pytest.mark.parametrize("task", sorted(ANSWERS))
WRONG = (
    {},
    {"x": 1},
    {"values": 5},
    {"values": ["a"]},
    {"tiers": [[]]},
    {"text": 5},
    {"text": " "},
    {"good": [2]},
    {"best": 0, "worst": 0},
)


def annotation(case: Case, **more: object) -> Annotation:
    responses = tuple(Response(f"response {n}") for n in range(case.k))
    return replace(Annotation(ask("hi"), responses, case.task, case.answer, "ann-01", shown=case.shown), **more)


def test_every_task_of_the_package_is_drawn_here():
    assert tasks.names() == sorted(ANSWERS)
    assert len(tasks.names()) == 9


@EVERY
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_answers_come_back_as_they_were(task: str, data: st.DataObject):
    case = data.draw(cases(task))
    assert case.value.to_answer() == case.answer
    assert json.loads(json.dumps(case.answer)) == case.answer
    case.value.check(case.k)


@EVERY
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_form_filled_in_on_the_screen_is_the_answer_in_stored_places(task: str, data: st.DataObject):
    case = data.draw(cases(task))
    kind, posted = tasks.load(task), case.value.to_form(case.shown, case.options)
    assert kind.from_form(posted, case.shown, case.options) == case.value
    assert set(posted) <= names_of(kind.form(case.k, case.options), case.k)
    assert all(isinstance(value, str) for value in posted.values())


@EVERY
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_what_is_on_the_screen_follows_the_order_shown(task: str, data: st.DataObject):
    """The same words on the screen, responses shuffled twice: each answer names the responses that stood there."""
    case = data.draw(cases(task))
    other = tuple(data.draw(st.permutations(range(case.k))))
    kind, posted = tasks.load(task), case.value.to_form(case.shown, case.options)
    here, there = kind.from_form(posted, case.shown, case.options), kind.from_form(posted, other, case.options)
    assert here.said(case.shown) == there.said(other)
    moved = dict(zip(case.shown, other))
    assert told(there, case.k) == sorted(placed(signal, moved) for signal in here.signals(case.k))


@EVERY
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_weights_sum_to_one_and_signals_are_of_the_kind_that_is_told(task: str, data: st.DataObject):
    case = data.draw(cases(task))
    signals, gives = case.value.signals(case.k), tasks.load(task).gives
    assert gives == {"ranking": "preferences", "pair": "preferences", "best_worst": "preferences"}.get(
        task, "labels" if task in ("likert", "binary", "score") else "texts"
    )
    assert sum(signal.weight for signal in signals) == pytest.approx(1 if signals else 0, abs=1e-12)
    assert all(isinstance(signal, Preference if gives == "preferences" else Label) for signal in signals)
    assert all(0 <= signal.value <= 1 for signal in signals if isinstance(signal, Label))
    assert gives != "labels" or {signal.response for signal in signals} == set(range(case.k))
    assert gives != "texts" or signals == []


@EVERY
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_a_form_that_lacks_a_field_or_holds_nonsense_is_refused_in_words(task: str, data: st.DataObject):
    case = data.draw(cases(task))
    kind, posted = tasks.load(task), case.value.to_form(case.shown, case.options)
    needed = sorted(name for name, value in posted.items() if value)
    lacking = data.draw(st.sampled_from(needed))
    with pytest.raises(UserError) as caught:
        kind.from_form({name: value for name, value in posted.items() if name != lacking}, case.shown, case.options)
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")
    field = next(f for f in kind.form(case.k, case.options) if lacking.rpartition("-")[0] == f.name or lacking == f.name)
    if field.kind != "text":
        with pytest.raises(UserError):
            kind.from_form({**posted, lacking: "nonsense é ١"}, case.shown, case.options)


@EVERY
def test_another_form_or_another_number_of_responses_is_one_sentence(task: str):
    kind = tasks.load(task)
    for answer in WRONG:
        with pytest.raises(UserError) as caught:
            kind.from_answer(answer).check(kind.responses[0])
        assert "\n" not in str(caught.value)
    for k in (kind.responses[0] - 1, kind.responses[-1] + 1):
        with pytest.raises(UserError, match=f"got {k}"):
            kind.form(k)


@EVERY
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_more_responses_than_were_judged_are_refused(task: str, data: st.DataObject):
    case = data.draw(cases(task))
    if tasks.load(task).gives == "labels" or task == "ranking":
        with pytest.raises(UserError):
            case.value.check(case.k + 1)


@EVERY
def test_forms_can_be_shown_and_answered_by_keys(task: str):
    """Names and keys of a form differ; what must be chosen has something to choose."""
    kind = tasks.load(task)
    for k in {kind.responses[0], min(kind.responses[-1], 9)}:
        form = kind.form(k)
        assert len({field.name for field in form}) == len(form) and all(field.label for field in form)
        assert kind.question(k) and kind.form(k, kind.Options()) == form
        for field in form:
            assert bool(field.options) == (field.kind in ("choice", "scale"))
            assert len({o.value for o in field.options}) == len({o.key for o in field.options}) == len(field.options)
            assert all(len(option.key) == 1 and option.label for option in field.options)
            assert "-" not in field.name and "." not in field.name


@EVERY
def test_tasks_are_frozen_dataclasses_and_so_are_their_options(task: str):
    kind = tasks.load(task)
    for cls in (kind, kind.Options):
        assert is_dataclass(cls) and cls.__dataclass_params__.frozen
    assert "Options" not in {field.name for field in fields(kind)}
    assert kind.Options() == kind.Options()


def test_an_aspect_is_that_of_every_signal_and_of_the_id():
    case = Case("ranking", {"tiers": [[1], [0, 2]]}, 3, (0, 1, 2), None)
    plain, harmless = annotation(case), annotation(case, aspect="harmless")
    assert {signal.aspect for signal in tasks.signals_of(plain)} == {"overall"}
    assert {signal.aspect for signal in tasks.signals_of(harmless)} == {"harmless"}
    assert [replace(s, aspect="overall") for s in tasks.signals_of(harmless)] == tasks.signals_of(plain)
    assert plain.id != harmless.id


def test_flags_and_aspect_leave_older_ids_and_rows_alone():
    """The id below is that of the release before there were flags."""
    old = Annotation(ask("hi"), (Response("a"), Response("b")), "pair", {"winner": 0}, "ann-01", shown=(1, 0), guideline="1")
    assert old.id == "058cba7b0b655b99"
    assert "flags" not in to_plain(old) and "aspect" not in to_plain(old)
    flagged = replace(old, flags=((1, "opinion"), (0, "violent"), (1, "opinion")), aspect="harmless")
    assert flagged.flags == ((0, "violent"), (1, "opinion"))
    assert flagged.id == replace(old, flags=flagged.flags[::-1], aspect="harmless").id != replace(old, aspect="harmless").id != old.id
    for one in (old, flagged):
        assert from_plain(json.loads(json.dumps(to_plain(one)))) == one
        assert from_plain(json.loads(json.dumps(to_plain(one)))).id == one.id


def test_a_flag_on_a_response_that_is_not_there_names_the_annotation():
    wrong = Annotation(ask("hi"), (Response("a"), Response("b")), "pair", {"winner": 0}, "ann-03", flags=((2, "opinion"),))
    with pytest.raises(UserError, match=f"{wrong.id} by ann-03: the flag 'opinion' is on response 2, but there are 2"):
        tasks.signals_of(wrong)


def test_tasks_are_found_by_the_file_and_asked_for_by_name():
    assert "form" not in tasks.names()
    with pytest.raises(UserError, match="did you mean 'ranking'"):
        tasks.load("rankng")
    with pytest.raises(UserError, match="no annotation task 'form'"):
        tasks.load("form")


def test_an_outsiders_task_is_named_by_import_path(monkeypatch: pytest.MonkeyPatch):
    module = types.ModuleType("outsider")
    module.Mine = Pair
    module.Half = int
    monkeypatch.setitem(sys.modules, "outsider", module)
    assert tasks.load("outsider:Mine") is Pair
    with pytest.raises(UserError, match="lacks responses, gives, Options, from_answer"):
        tasks.load("outsider:Half")
    for missing in ("outsider:None_", "nowhere_at_all:X", ":X"):
        with pytest.raises(UserError, match="can't be imported"):
            tasks.load(missing)


def test_a_wrong_answer_names_the_annotation_and_its_annotator():
    wrong = Annotation(ask("hi"), (Response("a"), Response("b")), "ranking", {"tiers": [[0]]}, "ann-03")
    with pytest.raises(UserError, match=f"{wrong.id} by ann-03"):
        tasks.signals_of(wrong)


def test_a_form_that_forgets_the_order_shown_is_caught(monkeypatch: pytest.MonkeyPatch):
    """The planted fault: places on the screen taken for places stored."""
    case = Case("ranking", {"tiers": [[2], [0], [1]]}, 3, (1, 2, 0), tasks.load("ranking").Options())
    right = Ranking.from_form
    monkeypatch.setattr(Ranking, "from_form", classmethod(lambda cls, values, shown, options: right(values, range(len(shown)), options)))
    assert Ranking.from_form(case.value.to_form(case.shown), case.shown, case.options) != case.value


def names_of(form: tuple[Field, ...], k: int) -> set[str]:
    return {name for field in form for name in ([f"{field.name}-{n}" for n in range(k)] if field.each else [field.name])}


def told(answer: tasks.Answer, k: int) -> list[tuple[object, ...]]:
    return sorted(placed(signal, dict(enumerate(range(k)))) for signal in answer.signals(k))


def placed(signal: Preference | Label, moved: dict[int, int]) -> tuple[object, ...]:
    if isinstance(signal, Preference):
        return (moved[signal.winner], moved[signal.loser], signal.weight, signal.margin)
    return (moved[signal.response], signal.value, signal.weight)
