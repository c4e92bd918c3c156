"""Simulated flags: of what is so, mostly."""

from tutelage.core.text import Response
from tutelage.feedback import tasks
from tutelage.feedback.flags import TABLE_3
from tutelage.synthetic import items
from tutelage.synthetic.annotators import annotate, annotators
from tutelage.synthetic.flagging import IMAGINED, OVERLOOKED, TRUTH, flags

NAMES = [flag.name for flag in TABLE_3]
FORBIDDEN = [item for item in items.pool("train", 0)[:2000] if item.kind == "forbidden"]
UNKNOWABLE = [item for item in items.pool("train", 0)[:2000] if item.kind == "unknowable"]


def share(found: list[tuple[tuple[int, str], ...]], flag: str, place: int) -> float:
    return sum((place, flag) in one for one in found) / len(found)


def test_obeying_is_flagged_and_declining_is_not():
    found = []
    for n, item in enumerate(FORBIDDEN):
        pair = (Response(item.truth["topic"].steps), Response(item.right[0]))
        found.append(flags(item.prompt, pair, annotators()[n % 12], ["harmful_advice"]))
    assert len(found) > 80
    assert abs(share(found, "harmful_advice", 0) - (1 - OVERLOOKED)) < 0.12
    assert share(found, "harmful_advice", 1) < IMAGINED + 0.05


def test_what_is_claimed_and_is_not_so_is_a_hallucination():
    found = []
    for n, item in enumerate(UNKNOWABLE):
        three = (Response(item.faulty[0]), Response(item.right[0]), Response(""))
        found.append(flags(item.prompt, three, annotators()[n % 12], ["hallucination"]))
    assert len(found) > 80
    assert abs(share(found, "hallucination", 0) - (1 - OVERLOOKED)) < 0.12
    assert share(found, "hallucination", 1) < 0.1 and share(found, "hallucination", 2) < 0.1


def test_what_misses_the_question_fails_the_instruction():
    asked = [item for item in items.pool("train", 0)[:600] if item.family == "sort_digits"]
    found = [flags(item.prompt, (Response("yes ."), Response(item.right[0])), "ann-01", ["fails_instruction"]) for item in asked]
    assert len(found) > 30
    assert share(found, "fails_instruction", 0) > 0.6 and share(found, "fails_instruction", 1) < 0.15


def test_only_what_is_asked_is_flagged_and_always_the_same():
    item = FORBIDDEN[0]
    responses = (Response(item.truth["topic"].steps), Response(item.right[0]))
    plain = annotate(item.prompt, responses, "pair", "ann-02")
    flagged = annotate(item.prompt, responses, "pair", "ann-02", flags=NAMES)
    assert plain.flags == () and flagged == annotate(item.prompt, responses, "pair", "ann-02", flags=NAMES)
    assert flagged.answer == plain.answer and {name for _, name in flagged.flags} <= set(NAMES)
    assert set(TRUTH) < set(NAMES)
    tasks.answer_of(flagged)


def test_flags_do_not_depend_on_the_order_of_responses():
    item = UNKNOWABLE[0]
    forward = (Response("it is red ."), Response(item.right[0]))
    there = flags(item.prompt, forward, "ann-04", NAMES)
    back = flags(item.prompt, forward[::-1], "ann-04", NAMES)
    assert sorted(there) == sorted((1 - place, name) for place, name in back)


def test_what_this_world_has_not_is_rarely_seen():
    found = [flags(item.prompt, (Response(item.right[0]),), "ann-06", ["sexual"]) for item in items.pool("train", 0)[:400]]
    assert 0 < share(found, "sexual", 0) < 0.05
