"""The items of a study in its database: put there once from the study's files, read from there by the desk.

Loading again changes nothing, and takes over what is only about an item (category, expertise, overlap, warning, explanation, order).
An item whose prompt or responses changed under the same id is refused: the answers that are there are about the other text. One that
the files no longer hold is set aside: nobody gets it any more, what was said about it stays, and it is back when its row is.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from tutelage.core.errors import UserError
from tutelage.core.text import Prompt
from tutelage.feedback.annotation import Annotation, from_plain, to_plain
from tutelage.feedback.study.items import Item
from tutelage.feedback.study.seats import ASIDE
from tutelage.feedback.study.tables import contents, items

JUDGED = ("prompt", "responses")
ABOUT = ("id", "role", "category", "expertise", "overlap", "warning", "suggestion", "explanation")
UNSAID = to_plain(Annotation(Prompt(()), (), "", {}, ""))
MANY = 500
"""Rows that are changed at once."""
MOST = 2048
"""Items that are kept in memory."""


def shelve(connection: sa.Connection, given: Iterable[Item], overlap: int) -> int:
    """Put items into the database, in their order, and set those aside that aren't among them; how many were new. UserError for an id
    that two files give, and for an item that is there with other words."""
    texts = dict(connection.execute(sa.select(contents.c.item, contents.c.content)).tuples().all())
    known = {row.id: row for row in connection.execute(sa.select(items)).all()}
    new: dict[str, tuple[dict[str, Any], str]] = {}
    seen: set[str] = set()
    for place, item in enumerate(given):
        row, text = _row(item, place, overlap), json.dumps(item_to_plain(item), ensure_ascii=False, sort_keys=True)
        if item.id in seen:
            raise UserError(f"item {item.id}: two of the study's files give this id; an id is given once")
        seen.add(item.id)
        if item.id in known:
            _take_over(connection, known[item.id], row, texts[item.id], text)
        else:
            new[item.id] = row, text
    _set_aside(connection, [name for name, row in known.items() if name not in seen and row.overlap])
    if new:
        connection.execute(items.insert(), [row for row, _ in new.values()])
        connection.execute(contents.insert(), [{"item": name, "content": text} for name, (_, text) in new.items()])
    return len(new)


def _set_aside(connection: sa.Connection, names: Sequence[str]) -> None:
    """Room for nobody, and no reviewer; an overlap of 0 says that it was taken out."""
    i = items.c
    out = items.update().values(wanted=0, overlap=0, review=sa.case((i.review == "wanted", ASIDE), else_=i.review))
    for start in range(0, len(names), MANY):
        connection.execute(out.where(i.id.in_(names[start : start + MANY])))


def _take_over(connection: sa.Connection, there: Any, row: dict[str, Any], text: str, new: str) -> None:
    if text != new:
        old, now = json.loads(text), json.loads(new)
        if there.role != row["role"] or any(old[part] != now[part] for part in JUDGED):
            raise UserError(f"item {there.id}: the store has it with another prompt, other responses or another role; give it another id")
        connection.execute(contents.update().where(contents.c.item == there.id).values(content=new))
    row["wanted"] = there.wanted - there.overlap + row["overlap"]
    row["review"] = "wanted" if there.review == ASIDE else there.review
    if any(getattr(there, name) != value for name, value in row.items()):
        connection.execute(items.update().where(items.c.id == there.id).values(row))


def _row(item: Item, place: int, overlap: int) -> dict[str, Any]:
    people = item.overlap or overlap
    return {
        "id": item.id,
        "role": item.role,
        "place": place,
        "category": item.category,
        "expertise": item.expertise,
        "k": len(item.responses),
        "overlap": people,
        "wanted": people,
    }


def item_to_plain(item: Item) -> dict[str, Any]:
    """An item as plain JSON; prompt and responses as annotations have them."""
    judged = to_plain(Annotation(item.prompt, item.responses, "", {}, ""))
    about = {name: getattr(item, name) for name in ABOUT}
    return {**{name: judged[name] for name in (*JUDGED, "tags")}, **about, "answer": {name: dict(a) for name, a in item.answer.items()}}


def item_from_plain(tree: Mapping[str, Any]) -> Item:
    """The item that `item_to_plain` wrote."""
    judged = from_plain({**UNSAID, **{name: tree[name] for name in (*JUDGED, "tags")}})
    about = {name: value for name, value in tree.items() if name not in (*JUDGED, "tags")}
    return Item(prompt=judged.prompt, responses=judged.responses, **about)


class Shelf:
    """Items by id, the last few thousand in memory: an item never changes what is judged."""

    def __init__(self) -> None:
        self._kept: dict[str, Item] = {}

    def item(self, connection: sa.Connection, name: str) -> Item:
        """One that is there."""
        kept = self._kept.get(name)
        if kept is None:
            content = connection.execute(sa.select(contents.c.content).where(contents.c.item == name)).scalar_one()
            kept = item_from_plain(json.loads(content))
            if len(self._kept) >= MOST:
                self._kept = {}
            self._kept[name] = kept
        return kept

    def clear(self) -> None:
        """After loading: an item's warning or explanation may be another."""
        self._kept = {}
