"""Every pair of K responses judged by itself, in one row: the form of Fine-Grained RLHF's QA-Feedback (Wu et al. 2023).

    {"question": ..., "prediction 1": ..., ..., "prediction 4": ..., "preference": [12, 13, 14, 23, 24, 34], "feedback": {...}}

`preference` holds a number for each pair, in the order (1, 2), (1, 3), ...: 0 a tie, 1 the first is better, 2 the second. Where these
agree with one order of all K, that order is the annotation: a ranking says the same and nothing else, and its pairs are one unit of the
reward model's loss. Where they contradict one another (people do: A over B, B as C, C over A), each pair is an annotation of its own. A
corrected first prediction is an edit. Held: nobody's name but the row's `annotator`, if any. Not held: spans of errors, missing
information, passages.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, cast

from tutelage.core.errors import UserError
from tutelage.core.rows import Record, Row
from tutelage.core.text import Prompt, Response, content_id
from tutelage.feedback.annotation import ANONYMOUS, Annotation
from tutelage.feedback.foreign import rounds, tags_of
from tutelage.feedback.given import Given, Judged, Passed, annotator, asked, judged

CORRECTED = "corrected-prediction"
ITEM, PAIR = "item", "pair"
"""Tags of a prompt whose pairs are annotations of their own."""
Pairs = Mapping[tuple[int, int], int]
"""For each pair of places 0 a tie, 1 the first is better, 2 the second."""


def recognize(row: Row) -> bool:
    """Rows with a list of preferences and several predictions or responses."""
    given = row.get("preference")
    return isinstance(given, list) and given != [] and all(type(one) is int for one in cast(list[Any], given))


def read(record: Record, given: Given) -> Iterator[Annotation | Passed]:
    """A ranking, or K (K - 1) / 2 pairs; and an edit where there is a correction."""
    row = record.values
    fields = {name: value for name, value in row.items() if isinstance(value, str) and name not in ("annotator", "gold")}
    on = judged(record, fields, "", given, tags_of(row, "id"))
    k, said = len(on.responses), cast(list[int], row["preference"])
    if len(said) != k * (k - 1) // 2 or k < 2:
        raise record.error("preference", f"holds {len(said)} numbers; {k} responses have {k * (k - 1) // 2} pairs, each needs one")
    if wrong := [one for one in said if one not in (0, 1, 2)]:
        raise record.error("preference", f"{wrong[0]} says nothing of a pair; write 0 (a tie), 1 (the first is better) or 2 (the second)")
    pairs = dict(zip(combinations(range(k), 2), said))
    who = annotator(record, row["annotator"], "annotator") if row.get("annotator") is not None else ANONYMOUS
    tiers = order_of(pairs, k)
    if tiers is not None:
        yield Annotation(on.prompt, on.responses, "ranking", {"tiers": tiers}, who)
    else:
        on = replace(on, prompt=Prompt(on.prompt.messages, {**on.prompt.tags, ITEM: _named(on.prompt, on.responses, said)}))
        yield from _apart(on, pairs, who)
    yield from _edit(record, on, who)


def write(annotations: Sequence[Annotation]) -> Iterator[Row]:
    """A row for each person and prompt with its K responses."""
    groups: dict[tuple[str, ...], list[Annotation]] = {}
    for a in annotations:
        groups.setdefault((a.prompt.id, _item(a), a.annotator), []).append(a)
    for group in (once for whole in groups.values() for once in rounds(whole, _question)):
        texts, pairs, corrected = _whole(group)
        first = group[0]
        if not isinstance(asked(first.prompt), str):
            told = "rows of pairs can't hold a conversation of several turns; write raw rows instead"
            raise UserError(f"annotation {first.id} by {first.annotator}: {told}")
        row: Row = {"id": first.prompt.tags["id"]} if "id" in first.prompt.tags else {}
        row |= {"question": asked(first.prompt), **{f"prediction {n}": text for n, text in enumerate(texts, 1)}}
        row["preference"] = [pairs[pair] for pair in combinations(range(len(texts)), 2)]
        if corrected is not None:
            row["feedback"] = {CORRECTED: corrected}
        yield row | ({"annotator": first.annotator} if first.annotator != ANONYMOUS else {})


def order_of(pairs: Pairs, k: int) -> list[list[int]] | None:
    """The tiers, best first, that say the same as all pairs; none where pairs contradict one another."""
    wins = [sum((pairs[min(a, b), max(a, b)] == (1 if a < b else 2)) for b in range(k) if b != a) for a in range(k)]
    tiers = [[a for a in range(k) if wins[a] == count] for count in sorted(set(wins), reverse=True)]
    return tiers if _pairs_of(tiers, k) == dict(pairs) else None


def _pairs_of(tiers: Sequence[Sequence[int]], k: int) -> dict[tuple[int, int], int]:
    tier = {place: n for n, places in enumerate(tiers) for place in places}
    return {(a, b): 0 if tier[a] == tier[b] else 1 if tier[a] < tier[b] else 2 for a, b in combinations(range(k), 2)}


def _apart(on: Judged, pairs: Pairs, who: str) -> Iterator[Annotation]:
    """Each pair by itself; a tag of the prompt, which is no part of its id, says which one it is."""
    for (a, b), said in pairs.items():
        prompt = Prompt(on.prompt.messages, {**on.prompt.tags, PAIR: f"{a},{b}"})
        winner: Any = "tie" if said == 0 else said - 1
        yield Annotation(prompt, (on.responses[a], on.responses[b]), "pair", {"winner": winner}, who)


def _edit(record: Record, on: Judged, who: str) -> Iterator[Annotation]:
    feedback = record.values.get("feedback")
    text = cast(dict[str, Any], feedback).get(CORRECTED) if isinstance(feedback, dict) else None
    if text is not None and (corrected := record.as_text(text, f"feedback.{CORRECTED}")).strip():
        yield Annotation(on.prompt, on.responses, "edit", {"response": 0, "text": corrected}, who)


def _item(a: Annotation) -> str:
    """What all annotations of one row have in common."""
    return a.prompt.tags.get(ITEM) or _named(a.prompt, a.responses)


def _question(a: Annotation) -> tuple[str, str]:
    """What a row says once."""
    return a.task, a.prompt.tags.get(PAIR, "")


def _named(prompt: Prompt, responses: Sequence[Response], said: Sequence[int] = ()) -> str:
    """What was judged, and where its pairs contradict one another also what was said: pairs of two such rows don't mix."""
    return content_id("item", prompt.id, [r.text for r in responses], *said)


def _whole(group: Sequence[Annotation]) -> tuple[list[str], dict[tuple[int, int], int], str | None]:
    """Texts, pairs and correction of one person's judgements of one item."""
    texts: dict[int, str] = {}
    pairs: dict[tuple[int, int], int] = {}
    corrected = None
    for a in group:
        if a.task == "pair" and PAIR in a.prompt.tags:
            one, other = (int(place) for place in a.prompt.tags[PAIR].split(","))
            texts |= {one: a.responses[0].text, other: a.responses[1].text}
            winner = a.answer["winner"]
            pairs[one, other] = winner + 1 if isinstance(winner, int) else 0
        elif a.task in ("ranking", "edit"):
            texts |= {place: r.text for place, r in enumerate(a.responses)}
            pairs |= _pairs_of(a.answer["tiers"], len(texts)) if a.task == "ranking" else {}
            corrected = a.answer["text"] if a.task == "edit" else corrected
        else:
            raise UserError(f"annotation {a.id} by {a.annotator}: rows of pairs can't hold the task {a.task}; write raw rows instead")
    if set(pairs) != set(combinations(range(len(texts)), 2)):
        raise UserError(f"annotation {group[0].id}: of its {len(texts)} responses not every pair was judged; write raw rows instead")
    return [texts[place] for place in sorted(texts)], pairs, corrected
