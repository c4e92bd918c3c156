"""study.yaml: one page that says a whole study, read strictly and checked before anybody is asked.

    schema: 1
    title: Which answer helps more?
    questions: [{task: ranking, flags: table_3}]
    items: items.jsonl
    guidelines: guidelines.md
    overlap: 2

Paths are relative to the page. The version of the guidelines is the hash of their text, stamped on every event: when they are
amended, labels say which of them they followed (InstructGPT amended theirs, appendix B).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from annotated_types import Ge, Gt, Interval, MinLen

from tutelage.core.errors import UserError
from tutelage.core.rows import read_rows
from tutelage.core.settings import Located, Plain, build, located, read_yaml
from tutelage.core.text import content_id
from tutelage.feedback.study import known
from tutelage.feedback.study.items import Item, Role, read_items
from tutelage.feedback.study.keys import check_keys
from tutelage.feedback.study.questions import Question, apart, normal

__all__ = ["Disagreement", "Gold", "Member", "Question", "Responses", "Screening", "Study", "Webhook", "read_study"]

PATHS = (("items",), ("guidelines",), ("practice",), ("gold", "items"), ("screening", "items"))


@dataclass(frozen=True)
class Responses:
    """Where the responses of items that have none come from."""

    from_: tuple[str, ...]
    """Models: RUN:STAGE, or a folder; relative ones begin at the page's folder, as all its files do."""
    count: Annotated[int, Interval(ge=1, le=9)] = 4
    """Responses per item, over all models; 1 to 9."""
    max_tokens: Annotated[int, Ge(1)] = 256
    """Tokens per response, at most."""


@dataclass(frozen=True)
class Gold:
    """Items whose answer is known, mixed into the work; nobody is told which."""

    items: Path
    """Rows as items, plus `answer`, {question: answer}."""
    rate: Annotated[float, Interval(ge=0.0, le=0.5)] = 0.05
    """Share of sheets; 0 to 0.5, usually 0.02-0.05."""


@dataclass(frozen=True)
class Screening:
    """A test before the work. The cut-offs are soft (InstructGPT, appendix B.1): they are reported with their intervals, and the
    admin decides."""

    items: Path
    """Rows as items, plus `answer` (and its `flags`); where a text is asked for there may be none."""
    agreement: Annotated[float, Interval(ge=0.0, le=1.0)] = 0.75
    """Share of judgements that agree with the known answers; InstructGPT 0.75."""
    demonstrations: Annotated[float, Interval(ge=1.0, le=7.0)] = 6.0
    """Mean grade, 1 to 7, that written demonstrations get from the admin; InstructGPT 6."""
    wait: bool = False
    """Whether somebody waits after the test until the admin has decided."""


@dataclass(frozen=True)
class Disagreement:
    """What happens where people disagree about an item."""

    below: Annotated[float, Interval(ge=0.0, le=1.0)] = 0.6
    """Mean agreement of the item's annotators, 0 to 1, under which it counts as disagreement."""
    more: Annotated[int, Ge(0)] = 0
    """People who are asked in addition, once; HelpSteer2 asks 2."""
    review: bool = True
    """Whether a reviewer then decides, with the answers side by side."""


@dataclass(frozen=True)
class Member:
    """Somebody who is known from the start; others are invited later."""

    name: str
    """A pseudonym: it stands in files and reports."""
    role: Literal["annotator", "reviewer", "admin"] = "annotator"
    """Reviewers decide where annotators disagree; admins invite, look and export."""
    expertise: tuple[str, ...] = ()
    """What they may judge beyond items that need no expertise."""

    def __post_init__(self) -> None:
        if not self.name or len(self.name) > 64 or not self.name.isprintable() or self.name.startswith("erased-"):
            raise ValueError(f"{self.name!r} is no name: 1 to 64 printable characters that don't begin with 'erased-'")


@dataclass(frozen=True)
class Webhook:
    """An address that is told of events."""

    url: str
    """Where to post to: http or https."""
    events: tuple[Literal["annotation", "skip", "undo", "question", "reply", "erased"], ...] = ("annotation",)
    """Which kinds of event."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"{self.url!r} is no address; it begins with http:// or https://")


@dataclass(frozen=True)
class Guideline:
    """What annotators are told to go by."""

    text: str
    """Markdown."""
    version: str
    """16 hex digits of the text; empty where there is none."""


@dataclass(frozen=True)
class Study:
    """A whole study."""

    schema: Literal[1]
    """Version of this format."""
    title: str
    """What annotators read at the top."""
    questions: Annotated[tuple[Question, ...], MinLen(1)]
    """Asked together on one page, in this order: of items with responses those about responses, of items without the others."""
    items: Path
    """What is judged: rows with prompt and responses."""
    store: str = "study.sqlite"
    """A file for SQLite, or postgresql://USER:PASSWORD@HOST/DATABASE for a team."""
    guidelines: Path | None = None
    """Markdown; its hash is the version that is stamped on every event."""
    responses: Responses | None = None
    """Models that answer where a row has no responses."""
    overlap: Annotated[int, Ge(1)] = 1
    """People per item; an item may say otherwise."""
    gold: Gold | None = None
    """Items whose answer is known, among the work; null: none."""
    repeats: Annotated[float, Interval(ge=0.0, le=0.5)] = 0.0
    """Share of sheets that a person has answered before, unannounced: how often they agree with themselves; usually 0.05."""
    practice: Path | None = None
    """Items that everybody begins with, with `answer` and `explanation`; about three."""
    screening: Screening | None = None
    """A test that everybody takes before the work; null: none."""
    disagreement: Disagreement | None = None
    """Null: nothing happens."""
    lease_minutes: Annotated[float, Gt(0.0)] = 10.0
    """Minutes for which an item is kept for the person who has it; saving a draft begins them anew."""
    edit_minutes: Annotated[float, Ge(0.0)] = 10.0
    """Minutes in which one's own answer may be changed or taken back."""
    people: tuple[Member, ...] = ()
    """Who is there from the start; others are invited."""
    suggestions: Literal["after", "never"] = "after"
    """When an item's AI suggestion is shown: after the vote, or never."""
    keys: dict[str, str] = field(default_factory=dict[str, str])
    """Single keys by command (undo, skip, flags, guideline, columns, ask, help), where others than the usual are wanted: {undo: z}."""
    pay_per_hour: Annotated[float, Ge(0.0)] | None = None
    """For the sum that the admin's page shows; in `currency`."""
    currency: str = "$"
    """Stands before sums of money."""
    webhooks: tuple[Webhook, ...] = ()
    """Addresses that are told what happens."""
    seed: Annotated[int, Ge(0)] = 0
    """Of everything that is drawn: orders on the screen, gold, repeats."""

    def __post_init__(self) -> None:
        for what, names in (("questions", [q.name for q in self.questions]), ("people", [p.name for p in self.people])):
            if len(set(names)) < len(names):
                raise ValueError(f"two of its {what} have the same name; give each its own")
        for one, two in combinations(self.questions, 2):
            if (one.task, one.aspect) == (two.task, two.aspect):
                both = f"{one.name} and {two.name}"
                raise ValueError(
                    f"the questions {both} have one task and one aspect, so nothing tells their answers apart; give each its own"
                )

    @cached_property
    def guideline(self) -> Guideline:
        """Text and version. UserError where the file can't be read."""
        if self.guidelines is None:
            return Guideline("", "")
        try:
            text = self.guidelines.read_bytes().decode("utf-8-sig")
        except OSError as error:
            raise UserError(f"{self.guidelines}: the guidelines cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            raise UserError(f"{self.guidelines}: not UTF-8 text (byte {error.start}); save the file as UTF-8") from None
        return Guideline(text, content_id("guideline", text))

    def every_item(self) -> Iterator[Item]:
        """Practice, screening, gold and work, in this order, each checked against the questions. UserError names file and item."""
        gold = None if self.gold is None else self.gold.items
        screening = None if self.screening is None else self.screening.items
        files: tuple[tuple[Path | None, Role], ...] = (
            (self.practice, "practice"),
            (screening, "screening"),
            (gold, "gold"),
            (self.items, "work"),
        )
        for path, role in files:
            if path is not None:
                yield from (self.checked(item, path) for item in read_items(path, role, self.written))

    @property
    def gold_rate(self) -> float:
        """Share of sheets whose answer is known; 0 where there is no gold."""
        return 0.0 if self.gold is None else self.gold.rate

    def asked(self, k: int) -> tuple[Question, ...]:
        """The questions about an item with k responses: those about responses, or, where it has none, those that need none."""
        return tuple(q for q in self.questions if (q.kind.responses[-1] > 0 if k else 0 in q.kind.responses))

    def written(self, k: int) -> bool:
        """Whether an item with k responses asks for a text, which no known answer could be compared with."""
        return any(q.kind.gives == "texts" for q in self.asked(k))

    def checked(self, item: Item, path: Path) -> Item:
        """The item, if every question can be asked of it and its known answers are answers. UserError."""
        k = len(item.responses)
        for question in self.asked(k) or self.questions:
            try:
                question.form(k)
            except UserError as error:
                raise UserError(f"{path}: item {item.id}: question {question.name}: {error}") from None
        for name, answer in item.answer.items():
            question = next((q for q in self.questions if q.name == name), None)
            if question is None:
                raise UserError(f"{path}: item {item.id}: answer: there is no question {name!r}")
            try:
                known.check(question, answer, k)
            except UserError as error:
                raise UserError(f"{path}: item {item.id}: answer.{name}: {error}") from None
        return item


def read_study(path: Path | str, overrides: Iterable[str] = ()) -> Study:
    """The study in a file, with `path=value` overrides. UserError for any fault in it or in the files that it names: file, line or
    row, field, what would be right."""
    study = page_of(path, overrides)
    for _item in read_rows(study.items):
        break  # no such file, or an empty one, is said before the site opens
    return study


def page_of(path: Path | str, overrides: Iterable[str] = ()) -> Study:
    """The same, its items not looked for."""
    path = Path(path)
    file = read_yaml(path)
    for text in overrides:
        file = file.overridden(text)
    study = build(Study, _resolved(file, path.parent), file.name, file.lines)
    _ = study.guideline
    return study


def _resolved(file: Located, folder: Path) -> Plain:
    """The tree with questions in their normal form and paths that don't depend on where the command runs."""
    if not isinstance(file.tree, dict):
        raise UserError(f"{file.name}: expected settings (schema, title, questions, items, ...)")
    tree: dict[str, Any] = dict(file.tree)
    if isinstance(tree.get("questions"), list):
        tree["questions"] = apart([normal(given, file, ("questions", at)) for at, given in enumerate(tree["questions"])])
    check_keys(tree.get("keys"), file)
    for place in PATHS:
        tree = _absolute(tree, place, folder)
    store = tree.get("store", "study.sqlite")
    if isinstance(store, str) and "://" not in store:
        tree["store"] = str(folder / store)
    elif isinstance(store, str) and not store.startswith(("postgresql://", "postgresql+pg8000://", "postgres://")):
        raise UserError(f"{located(('store',), file.name, file.lines)}: a store is a file for SQLite, or a postgresql:// address")
    return tree


def _absolute(tree: dict[str, Any], place: tuple[str, ...], folder: Path) -> dict[str, Any]:
    first, *rest = place
    inner: Any = tree.get(first)
    if rest and isinstance(inner, dict):
        return {**tree, first: _absolute(cast(dict[str, Any], inner), tuple(rest), folder)}
    return {**tree, first: str(folder / inner)} if isinstance(inner, str) and not rest else tree
