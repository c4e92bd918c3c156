"""What an answer to another tool's question says about K responses, as a task of ours, and the other way round.

Tools know kinds of questions (put in order, choose, rate, write); tasks follow from kind, K and the question's name:

    order                    ranking                  rate, K = 1 or one question a response    score (likert where it is called so)
    choose, K = 2            pair                     write, K = 0                              demonstration
    choose, K > 2            ranking: one above all   write, called correct, edit, ...          edit
    choose, K = 1, yes/no    binary                   choose `best` and choose `worst`          best_worst

A question's name may carry more: `helpful-2` is about the second response, `ranking__helpful` is a ranking of the aspect helpful. Names
that mean the whole (preference, quality, ...) are the aspect overall; any other name of a judging question is the aspect's name, so two
questions about one item stay two. Text beside responses that corrects nothing is a remark: passed over, and counted.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from tutelage.core.errors import UserError
from tutelage.core.rows import Record, kind
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.given import Given, Judged, Passed, is_both_bad, is_tie

Kind = Literal["order", "choose", "rate", "write", "flags"]
TASKS = ("ranking", "pair", "likert", "binary", "score", "best_worst", "demonstration", "edit")
WHOLE = (
    *("", "preference", "preferences", "rank", "overall", "quality", "best", "choice", "answer", "rating", "label", "pairwise"),
    *("comparison", "ranker", "choices", "winner", "vote", "feedback", "correction", "response", "pw", "selection", "better"),
)
EDIT = re.compile(r"edit|correct|improv|rewrit|revis|fix")
GOOD, BAD = (
    ("yes", "true", "good", "positive", "thumbs_up", "1", "accept"),
    ("no", "false", "bad", "negative", "thumbs_down", "0", "reject"),
)


@dataclass(frozen=True)
class Said:
    """One annotator's answer to one question, in the tool's own words."""

    question: str
    kind: Kind
    value: Any
    """order: tiers of responses' names, best first; choose: a word; rate: a number; write: a text; flags: words."""


@dataclass(frozen=True)
class Told:
    """An answer as a task of ours."""

    task: str
    answer: dict[str, Any]
    aspect: str


def understood(record: Record, on: Judged, said: Iterable[Said], given: Given) -> Iterator[Told | Passed]:
    """What one annotator's answers about one item say. UserError names the question that is not understood, or whose answer doesn't fit."""
    groups: dict[str, dict[int | None, Said]] = {}
    for one in said:
        if one.question not in given.without and stem_of(one.question, len(on.responses))[0] not in given.without:
            stem, place = stem_of(one.question, len(on.responses))
            groups.setdefault(stem, {})[place] = one
    if {"best", "worst"} <= set(groups):
        yield _best_worst(record, on, groups.pop("best"), groups.pop("worst"))
    for stem, group in groups.items():
        if None in group:
            for one in group.values():
                yield _lone(record, on, stem, one)
        elif all(one.kind == "write" for one in group.values()):
            for place, one in group.items():
                yield _written(record, on, stem, one, place)
        else:
            yield _each(record, on, stem, cast(dict[int, Said], group))


def question_of(task: str, aspect: str = "overall") -> str:
    """The name under which a judgement is written: the task's, and the aspect where it isn't the whole."""
    return task if aspect == "overall" else f"{task}__{aspect}"


def said_of(annotation: Annotation, names: Sequence[str]) -> list[Said]:
    """An annotation as answers to a tool's questions. UserError for a task that these can't hold."""
    a, answer = annotation, annotation.answer
    name = question_of(a.task, a.aspect)
    if a.task == "ranking":
        return [Said(name, "order", [[names[place] for place in tier] for tier in answer["tiers"]])]
    if a.task == "pair":
        return [Said(name, "choose", names[answer["winner"]] if isinstance(answer["winner"], int) else answer["winner"])]
    if a.task in ("likert", "score"):
        return [Said(_numbered(name, n, len(names)), "rate", value) for n, value in enumerate(answer["values"])]
    if a.task == "binary":
        return [Said(_numbered(name, n, len(names)), "choose", "yes" if good else "no") for n, good in enumerate(answer["good"])]
    if a.task == "best_worst" and a.aspect == "overall":
        return [Said(end, "choose", names[answer[end]]) for end in ("best", "worst")]
    if a.task == "demonstration":
        return [Said(name, "write", answer["text"])]
    if a.task == "edit":
        return [Said(_numbered(name, answer["response"], len(names)), "write", answer["text"])]
    raise UserError(f"annotation {a.id} by {a.annotator}: this format has no question for the task {a.task}; write raw rows instead")


def _numbered(name: str, place: int, k: int) -> str:
    return name if k == 1 else f"{name}-{place + 1}"


def stem_of(question: str, k: int) -> tuple[str, int | None]:
    """`helpful-2` -> ("helpful", 1); a number that is no response's belongs to the name."""
    found = re.fullmatch(r"(.*?)[-_ ]?(?:response|answer|output)?[-_ ]?([0-9]+)", question)
    if found and k > 1 and 1 <= int(found[2]) <= k and not question.isdigit():
        return found[1].rstrip("-_ "), int(found[2]) - 1
    return question, None


def aspect_of(stem: str, task: str) -> str:
    """What a question of this name is about."""
    named, _, aspect = stem.partition("__")
    if named in TASKS:
        return aspect or "overall"
    return "overall" if re.sub(r"[-_](scale|rank|ranking|rating|score)$", "", stem.lower()) in WHOLE else stem


def _lone(record: Record, on: Judged, stem: str, one: Said) -> Told | Passed:
    if one.kind == "order":
        return _order(record, on, stem, one)
    if one.kind == "choose":
        return _chosen(record, on, stem, one)
    if one.kind == "write":
        return _written(record, on, stem, one, None)
    if one.kind == "rate" and len(on.responses) == 1:
        return _each(record, on, stem, {0: one})
    which = f"which of the {len(on.responses)} responses" if on.responses else "what, as there is no response,"
    raise _unread(record, one, f"doesn't say {which} it is about")


def _order(record: Record, on: Judged, stem: str, one: Said) -> Told:
    tiers: list[list[int]] = []
    for words in cast(list[list[str]], one.value):
        places = [on.place(word) for word in words]
        for word, place in zip(words, places):
            if place is None:
                raise record.error(one.question, f"ranks {word!r}, which is none of the responses {', '.join(on.names)}")
        tiers.append(cast(list[int], places))
    found = [place for tier in tiers for place in tier]
    for n, name in enumerate(on.names):
        if found.count(n) != 1:
            wrong = "misses" if n not in found else "names twice"
            raise record.error(one.question, f"the ranking {wrong} {name}; it must name each of {', '.join(on.names)} once")
    return Told("ranking", {"tiers": tiers}, aspect_of(stem, "ranking"))


def _chosen(record: Record, on: Judged, stem: str, one: Said) -> Told:
    word, k = str(one.value), len(on.responses)
    if k == 1 and (word.lower() in GOOD or word.lower() in BAD):
        return _each(record, on, stem, {0: one})
    if k == 2 and is_tie(word):
        return Told("pair", {"winner": "tie"}, aspect_of(stem, "pair"))
    if k == 2 and is_both_bad(word):
        return Told("pair", {"winner": "both_bad"}, aspect_of(stem, "pair"))
    place = on.place(word) if k > 1 else None
    if place is None:
        may = f"one of {', '.join(on.names)}, 'tie' or 'both_bad'" if k == 2 else "yes or no" if k == 1 else f"one of {', '.join(on.names)}"
        raise _unread(record, one, f"was answered {word!r}; understood is {may}")
    if k == 2:
        return Told("pair", {"winner": place}, aspect_of(stem, "pair"))
    return Told("ranking", {"tiers": [[place], [n for n in range(k) if n != place]]}, aspect_of(stem, "ranking"))


def _each(record: Record, on: Judged, stem: str, group: Mapping[int, Said]) -> Told:
    """A question that was asked once for every response."""
    first, k = next(iter(group.values())), len(on.responses)
    for place in range(k):
        if place not in group:
            raise record.error(first.question, f"was answered for other responses, but not for {on.names[place]}")
    ordered = [group[place] for place in range(k)]
    if all(one.kind == "choose" and str(one.value).lower() in (*GOOD, *BAD) for one in ordered):
        return Told("binary", {"good": [str(one.value).lower() in GOOD for one in ordered]}, aspect_of(stem, "binary"))
    for one in ordered:
        if one.kind != "rate" or isinstance(one.value, bool) or not isinstance(one.value, int | float):
            raise _unread(record, one, f"asks {one.kind!r} of every response, and was answered {str(one.value)[:40]!r}")
    task = "likert" if stem.partition("__")[0] == "likert" else "score"
    return Told(task, {"values": [one.value for one in ordered]}, aspect_of(stem, task))


def _written(record: Record, on: Judged, stem: str, one: Said, place: int | None) -> Told | Passed:
    text = record.as_text(one.value, one.question)
    if not on.responses:
        return Told("demonstration", {"text": text}, aspect_of(stem, "demonstration"))
    if EDIT.search(stem.lower()) and (place is not None or len(on.responses) == 1):
        return Told("edit", {"response": place or 0, "text": text}, "overall")
    return Passed(record.where, f"remarks in '{one.question}'")


def _best_worst(record: Record, on: Judged, best: Mapping[int | None, Said], worst: Mapping[int | None, Said]) -> Told:
    ends: dict[str, Any] = {}
    for end, group in (("best", best), ("worst", worst)):
        one = next(iter(group.values()))
        ends[end] = on.place(str(one.value))
        if ends[end] is None:
            raise record.error(one.question, f"names {one.value!r}, which is none of the responses {', '.join(on.names)}")
    return Told("best_worst", ends, "overall")


def _unread(record: Record, one: Said, what: str) -> UserError:
    return record.error(one.question, f"this question {what}; leave it out with --without {one.question}")


def word(record: Record, value: object, field: str) -> str:
    """A choice: text or a number. UserError otherwise."""
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise record.error(field, f"expected a choice in text, got {kind(value)}")
    return str(value)
