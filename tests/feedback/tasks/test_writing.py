"""Demonstration, edit and prompt: what people write, and its way into demonstrations, prompts and pairs."""

from dataclasses import replace

import pytest

from tutelage.core.errors import UserError
from tutelage.core.text import Response, ask
from tutelage.feedback import tasks, written
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.signals import Preference
from tutelage.feedback.tasks.demonstration import Demonstration
from tutelage.feedback.tasks.edit import Edit
from tutelage.feedback.tasks.form import MOST_CHARACTERS
from tutelage.feedback.tasks.prompt import Prompt

TWO = (Response("two plus two is five", ids=(1, 2), tokenizer="t", by="model"), Response("no idea", by="model"))


def annotation(task: str, answer: dict[str, object], responses: tuple[Response, ...] = (), **more: object) -> Annotation:
    return replace(Annotation(ask("what is two plus two ?"), responses, task, answer, "ann-07", guideline="g1"), **more)


STORE = [
    annotation("demonstration", {"text": "four ."}),
    annotation("edit", {"response": 0, "text": "two plus two is four"}, TWO, weight=0.5, flags=((0, "hallucination"), (1, "opinion"))),
    annotation("edit", {"response": 1, "text": "no idea "}, TWO),
    annotation("prompt", {"kind": "use_case", "text": "Sort my e-mail: ...", "use_case": "an inbox"}),
    annotation("prompt", {"kind": "plain", "text": "Sing."}),
    annotation("ranking", {"tiers": [[0], [1]]}, TWO),
]


def test_what_people_wrote_and_corrected_is_to_be_imitated():
    found = list(written.demonstrations(STORE))
    assert [d.response.text for d in found] == ["four .", "two plus two is four", "no idea "]
    assert {d.response.by for d in found} == {"ann-07"} and {d.prompt for d in found} == {ask("what is two plus two ?")}
    assert all(d.response.ids is None and d.response.finished for d in found)


def test_prompts_keep_what_they_are_for_and_whose_they_are():
    case, plain = written.prompts(STORE)
    assert (case.last, case.tags) == ("Sort my e-mail: ...", {"kind": "use_case", "by": "ann-07", "use_case": "an inbox"})
    assert (plain.last, plain.tags) == ("Sing.", {"kind": "plain", "by": "ann-07"})
    assert [m.role for m in case.messages] == ["user"]


def test_an_edit_is_a_pair_that_the_corrected_text_wins():
    (pair,) = written.edits(STORE)
    assert [r.text for r in pair.responses] == ["two plus two is four", "two plus two is five"]
    assert tasks.signals_of(pair) == [Preference(0, 1)]
    assert (pair.annotator, pair.weight, pair.guideline, pair.responses[0].by) == ("ann-07", 0.5, "g1", "ann-07")
    assert pair.responses[1] == TWO[0] and pair.responses[1].ids == (1, 2)
    assert pair.flags == ((1, "hallucination"),)


def test_an_edit_of_an_aspect_stays_of_that_aspect():
    (pair,) = written.edits([replace(STORE[1], aspect="harmless")])
    assert pair.aspect == "harmless" and tasks.signals_of(pair)[0].aspect == "harmless"


def test_a_broken_answer_is_named_and_not_passed_over():
    for reader in (written.demonstrations, written.prompts, written.edits):
        broken = annotation("edit", {"response": 2, "text": "x"}, TWO)
        with pytest.raises(UserError, match=f"{broken.id} by ann-07: an edit names one of the responses from 0 to 1; got 2"):
            list(reader([broken]))


@pytest.mark.parametrize(
    ("task", "answer", "k", "said"),
    [
        (Demonstration, {"text": ""}, 0, "blank"),
        (Demonstration, {"text": " \n"}, 0, "blank"),
        (Demonstration, {"text": 5}, 0, "not text"),
        (Demonstration, {"text": "nul \x00"}, 0, "not text"),
        (Demonstration, {"text": "half a pair \ud800"}, 0, "not text"),
        (Demonstration, {"text": "x" * (MOST_CHARACTERS + 1)}, 0, "too long"),
        (Demonstration, {"text": "x"}, 1, "needs no responses; got 1"),
        (Demonstration, {"txt": "x"}, 0, "a demonstration is"),
        (Edit, {"response": 0, "text": ""}, 1, "blank"),
        (Edit, {"response": 0, "text": "x"}, 0, "needs 1 to 9 responses; got 0"),
        (Edit, {"response": True, "text": "x"}, 2, "from 0 to 1; got True"),
        (Edit, {"text": "x"}, 1, "an edit is"),
        (Prompt, {"kind": "plian", "text": "x"}, 0, "did you mean 'plain'"),
        (Prompt, {"kind": "use_case", "text": "x"}, 0, "exactly where its kind is 'use_case'"),
        (Prompt, {"kind": "plain", "text": "x", "use_case": "y"}, 0, "exactly where its kind is 'use_case'"),
        (Prompt, {"kind": "plain", "text": "x", "use_case": 5}, 0, "exactly where its kind is 'use_case'"),
        (Prompt, {"kind": ["plain"], "text": "x"}, 0, "kind is plain, few_shot, use_case"),
        (Prompt, {"kind": "plain"}, 0, "needs the field 'text'"),
        (Prompt, {"kind": "plain", "text": "x", "usecase": "y"}, 0, "did you mean 'use_case'"),
    ],
)
def test_wrong_writing_is_refused(task, answer, k, said):
    with pytest.raises(UserError, match=said):
        task.from_answer(answer).check(k)


def test_a_long_text_is_not_said_back_in_an_error():
    with pytest.raises(UserError) as caught:
        Demonstration.from_answer({"text": "x" * 10_000, "y": 1})
    assert len(str(caught.value)) < 100


def test_what_a_browser_posts_is_kept_as_plain_lines():
    said = Demonstration.from_form({"text": "\r\n one\r\n\ttwo \x0b\x00three  \r"}, ())
    assert said == Demonstration("one\n\ttwo three")
    assert Demonstration.from_form({"text": "‮right to left‬ <b>"}, ()).text == "‮right to left‬ <b>"
    with pytest.raises(UserError, match=r"^Answer: write something\.$"):
        Demonstration.from_form({"text": " \x00 "}, ())
    with pytest.raises(UserError, match=r"^Answer: 200,001 characters are too many; 200,000 is the most\.$"):
        Demonstration.from_form({"text": "x" * (MOST_CHARACTERS + 1)}, ())


def test_an_edit_reads_the_card_that_was_picked():
    posted = {"response": "b", "text-0": "left as it was", "text-1": "better"}
    assert Edit.from_form(posted, (2, 0, 1)) == Edit(0, "better")
    assert Edit(0, "better").said((2, 0, 1)) == "B corrected, 1 word"
    assert Edit.from_form({"text-0": "better"}, (0,)) == Edit(0, "better")
    with pytest.raises(UserError, match=r"^Corrected text of response 2: write something\.$"):
        Edit.from_form({"response": "b", "text-0": "x"}, (0, 1))
    with pytest.raises(UserError, match=r"^Response to correct: pick one of A, B\.$"):
        Edit.from_form({"text-0": "x"}, (0, 1))


def test_an_edit_begins_with_the_response():
    assert [(f.name, f.initial, f.each, f.required) for f in Edit.form(1)] == [("text", "response", True, True)]
    assert [(f.name, f.initial, f.each, f.required) for f in Edit.form(2)] == [
        ("response", "", False, True),
        ("text", "response", True, False),
    ]


@pytest.mark.parametrize(
    ("posted", "said"),
    [
        ({"kind": "use_case", "text": "x"}, r"^Use case: write what the assistant is wanted for\.$"),
        ({"kind": "plain", "text": "x", "use_case": "y"}, "^Use case: leave it empty"),
        ({"text": "x"}, r"^Kind: pick one of Plain, Few-shot, Use case\.$"),
        ({"kind": "plain", "text": ""}, r"^Prompt: write something\.$"),
    ],
)
def test_a_prompt_says_what_is_missing(posted, said):
    with pytest.raises(UserError, match=said):
        Prompt.from_form(posted, ())


def test_how_much_was_written_is_said():
    assert Demonstration("one two").said(()) == "An answer of 2 words"
    assert Prompt("few_shot", "word " * 1200).said(()) == "Few-shot prompt of 1,200 words"
