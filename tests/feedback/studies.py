"""Small studies for tests: files in a folder, a desk on them, a clock that is moved by hand, and people who answer."""

import json
from dataclasses import replace
from pathlib import Path

from tutelage.feedback.store import Store
from tutelage.feedback.study.desk import Desk
from tutelage.feedback.study.study import Study, read_study


class Clock:
    """Unix seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        self.now += 0.001  # no two things happen at once
        return self.now

    def minutes(self, n: float) -> None:
        self.now += 60 * n


def rows(n: int, k: int = 3, start: int = 0, **more) -> list[dict]:
    """Items whose ids are i0, i1, ..."""
    return [
        {"id": f"i{j}", "prompt": f"question {j}", "responses": [f"response {r} to {j}" for r in range(k)], **more}
        for j in range(start, start + n)
    ]


def write(folder: Path, name: str, given: list[dict]) -> None:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in given))


def study(folder: Path, items: list[dict], page: str = "", people: int = 3, questions: str = "[{task: ranking}]") -> Study:
    """A study of these items with people ann-1, ann-2, ..."""
    write(folder, "items.jsonl", items)
    names = ", ".join(f"{{name: ann-{n}}}" for n in range(1, people + 1))
    named = "" if "people:" in page else f"people: [{names}]\n"
    (folder / "study.yaml").write_text(f"schema: 1\ntitle: A study\nquestions: {questions}\nitems: items.jsonl\n{named}{page}\n")
    return read_study(folder / "study.yaml")


def opened(made: Study, place: str, clock: Clock) -> Desk:
    """A desk on the study, loaded."""
    desk = Desk(replace(made, store=place), Store(place), clock)
    desk.load()
    return desk


ORDER = {"ranking.order": "2 1 = 3"}


def answer(desk: Desk, person: str, values: dict[str, str] = ORDER):
    """Take the next sheet and answer it; the sheet, or None where nothing is left."""
    sheet = desk.next(person)
    if sheet is not None:
        desk.submit(person, sheet.submit, sheet.item.id, values, 1000, 2000)
    return sheet


def desk_of(folder: Path, place: str, clock: Clock, n: int = 4, page: str = "", **more) -> Desk:
    """A desk on n items."""
    return opened(study(folder, rows(n), page, **more), place, clock)


def counts(desk: Desk) -> dict[str, tuple[int, int, str]]:
    """(load, answers, review) of each item, by id."""
    with desk.database.reading() as connection:
        found = connection.exec_driver_sql("SELECT id, load, answers, review FROM items").all()
    return {row.id: (row.load, row.answers, row.review) for row in found}
