"""People in a pipeline: what a stage made is put before people as a study, and the stage waits until enough of it is judged.

While it waits, the labelling site runs in this process. Stopped or killed, the same command opens it again, and whoever has a link
goes on. Page, items and answers lie in the stage's folder, so what was learnt can be traced to who said it; a page of the user's
(`study: FILE`) adds guidelines, people, practice, gold, or a database of the team's.
"""

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tutelage.core.errors import UserError
from tutelage.core.files import write_atomic
from tutelage.core.settings import Plain, read_yaml, write_yaml
from tutelage.core.text import Message, Prompt, Response, content_id
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.store import Store
from tutelage.feedback.store.events import Purpose
from tutelage.feedback.store.store import hash_of
from tutelage.feedback.study.desk import Desk
from tutelage.feedback.study.items import read_items
from tutelage.feedback.study.study import Study, page_of, read_study
from tutelage.recipes.work import Work

PAGE, ITEMS, ANSWERS = "study.yaml", "items.jsonl", "study.sqlite"
JUDGED: tuple[Purpose, ...] = ("work", "adjudication")
"""The purposes of what is learnt from and counted: not practice, gold or repeats."""
ADDRESS = 12
"""Hexadecimal digits at the end of a stage's folder."""
LOOK = 1.0
"""Seconds between two looks at how much is judged."""


def study_of(folder: Path, given: Path | None, own: Mapping[str, Plain]) -> Study:
    """The stage's study: what it says itself (title, questions, overlap, people), under what a page of the user's says. Items are the
    stage's own. UserError for a fault in the page."""
    if "people" in own:
        own = {**own, "people": _still_there(folder, own["people"])}
    if given is None:
        write_atomic(folder / PAGE, write_yaml({"schema": 1, **own, "items": ITEMS, "store": ANSWERS}))
        return read_study(folder / PAGE)
    here = folder.resolve()
    ours: dict[str, Plain] = {"schema": 1, **own, "items": str(here / ITEMS), "store": str(here / ANSWERS)}
    return read_study(given, _beside(given, ours))


def read_page(given: Path, own: Mapping[str, Plain]) -> Study:
    """The study of a user's page, before what it asks about is there. UserError for any fault in it."""
    return page_of(given, _beside(given, {"schema": 1, **own, "items": ITEMS, "store": ANSWERS}))


def _beside(given: Path, ours: Mapping[str, Plain]) -> list[str]:
    """What the stage says where the page says nothing, as overrides of the page."""
    said: Any = read_yaml(given).tree
    theirs = set(said) if isinstance(said, dict) else set()
    return [f"{name}={json.dumps(value)}" for name, value in ours.items() if name == "items" or name not in theirs]


def _still_there(folder: Path, people: Plain) -> Plain:
    """Those of the people who were not erased from the stage's answers; a page that names such a one isn't opened."""
    if not isinstance(people, list):
        return people
    names = [one["name"] for one in people if isinstance(one, dict)]
    gone = Store(folder / ANSWERS).erased(map(str, names))
    return [one for one in people if not (isinstance(one, dict) and one["name"] in gone)]


def wanted(study: Study) -> int:
    """Answers that a whole study has."""
    return sum((item.overlap or study.overlap) * len(study.asked(len(item.responses))) for item in read_items(study.items, "work"))


def given(study: Study, store: Store, purposes: Sequence[Purpose] = ("work",)) -> list[Annotation]:
    """Answers to the study's own items so far; a database of the team's may hold others, such as those to what a model said before it
    was trained anew."""
    own = {(item.prompt.id, tuple(r.id for r in item.responses)) for item in read_items(study.items, "work")}
    return [a for a in store.read(purposes=purposes) if (a.prompt.id, tuple(r.id for r in a.responses)) in own]


def left_behind(folder: Path) -> list[str]:
    """Of a stage under way in `folder`: answers to the same stage under other settings or questions, that wait there and aren't asked for
    now."""
    stem = folder.name[:-ADDRESS]
    others = [path for path in sorted(folder.parent.glob(f"{stem}*")) if path != folder and len(path.name) == len(folder.name)]
    counted = {path.name: _all(Store(path / ANSWERS)) for path in others if (path / ANSWERS).exists()}
    said = "to this stage as it was before wait in {}: what was changed since, changed back, goes on there"
    return [f"{n:,} answer{'s' * (n > 1)} {said.format(name)}" for name, n in counted.items() if n]


def _all(store: Store) -> int:
    return sum(store.annotators(("work",)).values())


def told(annotations: Sequence[Annotation]) -> dict[str, Any]:
    """For the journal: how much each person said, and a hash of it."""
    by = Counter(a.annotator for a in annotations)
    return {"people": dict(sorted(by.items())), "store": hash_of(sorted(a.id for a in annotations))}


def tasks_of(page: Path) -> list[str]:
    """The tasks that a user's page asks; none where it leaves the questions to the stage. UserError where it says what is the stage's."""
    tree: Any = read_yaml(page).tree
    if isinstance(tree, dict) and "items" in tree:
        raise UserError(f"{page}: names items, but the stage asks about its own; take them out")
    given: Any = tree.get("questions") if isinstance(tree, dict) else None
    return [str(question["task"]) for question in given or () if isinstance(question, dict) and "task" in question]


def write_items(folder: Path, asked: Iterable[tuple[Prompt, Sequence[Response]]]) -> None:
    """What is asked about, as the items of a study."""
    rows = [
        {
            "id": content_id("item", prompt.id, [r.id for r in responses]),
            "messages": [_message(m) for m in prompt.messages],
            "responses": [{"text": r.text, "by": r.by, "finished": r.finished} for r in responses],
        }
        for prompt, responses in asked
    ]
    write_atomic(folder / ITEMS, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _message(m: Message) -> dict[str, Any]:
    parts: Any = m.text if len(m.content) == 1 else [{"type": "text", "text": part} for part in m.content]
    calls = {"tool_calls": [json.loads(call) for call in m.tool_calls]} if m.tool_calls else {}
    return {"role": m.role, "content": parts or None, **calls, **({"name": m.name} if m.name else {})}


def enough_for(overlap: int) -> list[Plain]:
    """Who is asked where the recipe names nobody: an admin, who invites others, and as many annotators as an item needs."""
    return [{"name": "admin", "role": "admin"}, *({"name": f"ann-{n:02}"} for n in range(1, overlap + 1))]


def judged(work: Work, study: Study, enough: float) -> list[Annotation]:
    """Put the study before people until the share `enough` of its answers is in, or at once where the door says so; what they said.

    Raises UserError for a fault in the study's files and for an address that is taken. KeyboardInterrupt closes the site and goes on.
    """
    from tutelage.feedback.site.serving import leaving, links, serving  # here: a web server is loaded by runs that meet people alone
    from tutelage.feedback.site.signing import secret_of

    store = Store(study.store)
    desk = Desk(study, store)
    desk.load()
    whole, tell = wanted(study), work.progress.note
    least = max(1, round(enough * whole))
    work.progress.stage(f"{work.name}: people", whole)
    so_far = len(given(study, store))
    if so_far < least and not work.door.accept:
        secret = secret_of(work.dir / PAGE)
        with serving(study, store, desk, secret, work.door.address) as url:
            tell(f"{work.name} waits for people: {so_far:,} of {whole:,} answers are there, {least:,} are enough")
            for line in left_behind(work.dir):
                tell(f"  {line}")
            for line in leaving(study.webhooks):
                tell(f"  {line}")
            for person, link in links(study, store, secret, url):
                tell(f"  {person}  {link}")
            tell("Leave this running; stopped, the same command opens it again. With --accept it goes on with what is there.")
            others = _all(store) - so_far
            while so_far < least:
                time.sleep(LOOK)
                so_far = _all(store) - others  # counting is quick; reading them all is for when it may be enough
                work.progress.tick(so_far, 0)
                if so_far >= least:
                    so_far = len(given(study, store))
    if not so_far:
        raise UserError(f"stage {work.name}: nobody has answered anything yet, so there is nothing to accept")
    work.progress.tick(so_far, 0)
    (work.dir / PAGE).with_suffix(".secret").unlink(missing_ok=True)  # an artifact may be handed on; links end with the stage
    return given(study, store, JUDGED)
