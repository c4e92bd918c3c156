"""A list of votes beside what was voted on: crowd workers who chose one of several answers, or said yes or no of one.

    {"context": ..., "question": ..., "answers": [a, b, c], "votes": [{"worker": "w-36", "answer": "ans_1"}, ...]}          BBQ's validation
    {"article": ..., "summary_sentences": [{"sentence": ..., "responses": [{"worker_id": 0, "response": "yes"}, ...]}]}    QAGS

A choice among K > 2 is a ranking of two tiers: the chosen answer above the others, which stay tied, since nothing was said of their
order; among two it is a pair. `ans_1` counts from 0, as BBQ does. QAGS (Wang et al. 2020) asks whether a sentence of a summary is
supported by the article: a binary judgement of the aspect `factuality`, the article being the prompt. Held: who. Not held: when, how
long, the order shown. Votes without an answer are passed over; a known right answer (`gold`) is kept as a tag of the prompt and is
nobody's vote.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, cast

from tutelage.core.errors import UserError
from tutelage.core.rows import Record, Row, kind
from tutelage.core.text import Prompt, Response
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.foreign import by_item, tags_of, told
from tutelage.feedback.given import Given, Judged, Passed, annotator, asked, is_both_bad, is_tie, judged, prompt_of
from tutelage.feedback.questions import BAD, GOOD

WORKERS = ("worker", "worker_id", "annotator", "annotator_id", "user", "user_id", "rater")
ANSWERS = ("answer", "response", "vote", "label", "choice", "value")
TAGS = ("id", "round", "category", "gold", "set", "dataset", "type")


def recognize(row: Row) -> bool:
    """Rows with `votes`, or with `summary_sentences`."""
    return isinstance(row.get("votes"), list) or isinstance(row.get("summary_sentences"), list)


def read(record: Record, given: Given) -> Iterator[Annotation | Passed]:
    """One annotation for each vote."""
    row = record.values
    if "summary_sentences" in row:
        yield from _sentences(record)
        return
    on = judged(record, {name: value for name, value in row.items() if name not in (*TAGS, "votes")}, "", given, tags_of(row, *TAGS))
    if not on.responses:
        raise record.error("answers", "is missing: there is nothing that was voted on; name the field with --responses FIELD")
    for number, vote in enumerate(cast(list[Any], row["votes"])):
        who, word, where = _vote(record, vote, f"votes[{number}]")
        if word == "":
            yield Passed(record.where, "votes without an answer")
        else:
            task, answer = _answer(record, on, word, where)
            yield Annotation(on.prompt, on.responses, task, answer, who)


def write(annotations: Sequence[Annotation]) -> Iterator[Row]:
    """A row for each item; sentences of one article together."""
    articles: dict[str, Row] = {}
    for group in by_item(annotations).values():
        first = group[0]
        if all(a.aspect == "factuality" and a.task == "binary" for a in group) and isinstance(asked(first.prompt), str):
            row = articles.setdefault(told(first), {**first.prompt.tags, "article": asked(first.prompt), "summary_sentences": []})
            votes = [{"worker_id": _number(a.annotator), "response": _word(a)} for a in group]
            row["summary_sentences"].append({"sentence": first.responses[0].text, "responses": votes})
        else:
            answers = [r.text for r in first.responses]
            votes = [{"worker": a.annotator, "answer": _word(a)} for a in group]
            yield {**first.prompt.tags, "question": asked(first.prompt), "answers": answers, "votes": votes}
    yield from articles.values()


def _sentences(record: Record) -> Iterator[Annotation | Passed]:
    prompt = prompt_of(record, record.values.get("article"), "article", tags_of(record.values, *TAGS))
    for number, one in enumerate(cast(list[Any], record.values["summary_sentences"])):
        where = f"summary_sentences[{number}]"
        sentence = cast(dict[str, Any], one) if isinstance(one, dict) else {}
        if not isinstance(sentence.get("responses"), list):
            raise record.error(where, "expected a sentence and the responses to it")
        on = Judged(prompt, (Response(record.as_text(sentence.get("sentence"), f"{where}.sentence")),), ("sentence",))
        for n, vote in enumerate(cast(list[Any], sentence["responses"])):
            yield _supported(record, on.prompt, on, vote, f"{where}.responses[{n}]")


def _supported(record: Record, prompt: Prompt, on: Judged, vote: Any, where: str) -> Annotation | Passed:
    who, word, at = _vote(record, vote, where)
    if word == "":
        return Passed(record.where, "votes without an answer")
    return Annotation(prompt, on.responses, "binary", {"good": [_is_good(record, word, at)]}, who, aspect="factuality")


def _vote(record: Record, vote: Any, where: str) -> tuple[str, Any, str]:
    """Who, what, and the field in which the latter stands."""
    if not isinstance(vote, dict):
        raise record.error(where, f'expected a vote like {{"worker": ..., "answer": ...}}, got {kind(vote)}')
    one = cast(dict[str, Any], vote)
    who = next((name for name in WORKERS if one.get(name) is not None), None)
    what = next((name for name in ANSWERS if name in one), None)
    if who is None or what is None:
        lacking = f"the worker ({', '.join(WORKERS)})" if who is None else f"the answer ({', '.join(ANSWERS)})"
        raise record.error(where, f"lacks {lacking}; it has {', '.join(one) or 'no fields'}")
    return annotator(record, one[who], f"{where}.{who}"), "" if one[what] is None else one[what], f"{where}.{what}"


def _answer(record: Record, on: Judged, word: Any, where: str) -> tuple[str, dict[str, Any]]:
    k = len(on.responses)
    if k == 1:
        return "binary", {"good": [_is_good(record, word, where)]}
    if k == 2 and (is_tie(str(word)) or is_both_bad(str(word))):
        return "pair", {"winner": "tie" if is_tie(str(word)) else "both_bad"}
    texts = [r.text for r in on.responses]
    counted = re.fullmatch(r"ans(?:wer)?_([0-9]+)", str(word))
    place = int(counted[1]) if counted else texts.index(str(word)) if texts.count(str(word)) == 1 else on.place(str(word))
    if place is None or not 0 <= place < k:
        raise record.error(where, f"{word!r} is none of the {k} answers; write ans_0 to ans_{k - 1}, or an answer's own text")
    if k == 2:
        return "pair", {"winner": place}
    return "ranking", {"tiers": [[place], [n for n in range(k) if n != place]]}


def _is_good(record: Record, word: Any, where: str) -> bool:
    if str(word).lower() not in (*GOOD, *BAD):
        raise record.error(where, f"{word!r} is neither yes nor no")
    return str(word).lower() in GOOD


def _word(a: Annotation) -> str:
    """A vote as BBQ and QAGS write it."""
    if a.task == "binary" and len(a.responses) == 1:
        return "yes" if a.answer["good"][0] else "no"
    if a.task == "pair":
        winner = a.answer["winner"]
        return f"ans_{winner}" if isinstance(winner, int) else winner
    if a.task == "ranking" and len(a.answer["tiers"]) == 2 and len(a.answer["tiers"][0]) == 1:
        return f"ans_{a.answer['tiers'][0][0]}"
    raise UserError(
        f"annotation {a.id} by {a.annotator}: a vote chooses one answer, this {a.task} says something else; write raw rows instead"
    )


def _number(name: str) -> int | str:
    return int(name) if name.isdecimal() and str(int(name)) == name else name
