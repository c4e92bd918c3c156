"""What a page is told about a sheet, and nothing else: no name of a model, of another annotator, of gold or repeats.

A template can only show what it is given. So a sheet of the desk is turned into these views first: responses by place on the screen,
with text, letter and fields. Items go by a reference that says nothing, since a file's own ids may name a model.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tutelage.core.text import Prompt
from tutelage.feedback.places import letter, on_screen
from tutelage.feedback.site.safe import Shown, shown
from tutelage.feedback.study.questions import Question
from tutelage.feedback.study.sheet import Sheet
from tutelage.feedback.tasks.form import Field, Kind, Option

WHO = {"user": "User", "assistant": "Assistant", "system": "System", "tool": "Tool"}


@dataclass(frozen=True)
class Turn:
    """One turn of the prompt."""

    role: str
    who: str
    text: Shown


@dataclass(frozen=True)
class Asked:
    """One field of the page, under its full name in the POST."""

    name: str
    kind: Kind
    label: str
    options: tuple[Option, ...]
    required: bool
    low: float | None
    high: float | None
    help: str
    start: str = ""
    """What it holds before anybody wrote in it."""

    @property
    def open(self) -> str:
        """What is said as long as it has no answer."""
        return self.help if self.kind == "order" else f"Open: {self.label}"


@dataclass(frozen=True)
class Flag:
    """One flag that can be put on each response."""

    question: str
    name: str
    label: str
    key: str

    def at(self, place: int) -> str:
        """Its name in the POST for the response at a place on the screen."""
        return f"{self.question}.flag.{place}.{self.name}"


@dataclass(frozen=True)
class Card:
    """One response."""

    place: int
    """On the screen, from 0."""
    letter: str
    text: Shown
    fields: tuple[Asked, ...]
    flagged: bool


@dataclass(frozen=True)
class SheetView:
    """One item with what is asked about it."""

    item: str
    """The reference by which this person's pages name it."""
    submit: str
    category: str
    warning: str
    turns: tuple[Turn, ...]
    asks: tuple[str, ...]
    cards: tuple[Card, ...]
    asked: tuple[Asked, ...]
    """The field at the foot: what is picked or typed about all responses together."""
    written: tuple[Asked, ...]
    """Texts to write, and further choices, below the responses."""
    flags: tuple[Flag, ...]
    values: Mapping[str, str]
    """What the fields hold: a draft, or the answer given before."""
    practice: bool
    answered: bool

    @property
    def whole_at(self) -> str:
        """Path of the item's own page; long texts lie whole below it."""
        return f"/item/{self.item}"

    @property
    def ordered(self) -> bool:
        return any(field.kind == "order" for field in self.asked)

    @property
    def hint(self) -> str:
        """What stands where the sentence will be."""
        return next((field.help for field in self.asked if field.kind == "order"), "")


def view_of(sheet: Sheet, reference: str, values: Mapping[str, str] | None = None) -> SheetView:
    """A sheet as its page shows it; `values` (what a person just sent) stand before the sheet's own."""
    k = len(sheet.item.responses)
    held = sheet.draft if values is None else values
    alone = len(sheet.questions) == 1
    fields = [
        (_asked(question, field, alone or len(question.form(k)) > 1), field) for question in sheet.questions for field in question.form(k)
    ]
    flags = tuple(Flag(question.name, f.name, f.label or f.name, f.key) for question in sheet.questions for f in question.flags)
    beside = tuple(asked for asked, field in fields if not field.each)
    foot = tuple(asked for asked in beside if k and asked.kind != "text")
    foot = foot if len(foot) == 1 else tuple(asked for asked in foot if asked.kind == "order")[:1]
    return SheetView(
        item=reference,
        submit=sheet.submit,
        category=sheet.item.category,
        warning=sheet.item.warning,
        turns=turns_of(sheet.item.prompt),
        asks=tuple(question.words(k) for question in sheet.questions if alone or len(question.form(k)) > 1 or not question.ask),
        cards=_cards(sheet, [(asked, field) for asked, field in fields if field.each], flags if k else (), held),
        asked=foot,
        written=tuple(asked for asked in beside if asked not in foot),
        flags=flags if k else (),
        values=held,
        practice=sheet.purpose == "practice",
        answered=sheet.answered,
    )


def turns_of(prompt: Prompt) -> tuple[Turn, ...]:
    """The prompt's turns, tool calls spelt out."""
    return tuple(Turn(_role(m.role), WHO.get(m.role, m.role), shown(_told(m.text, m.tool_calls))) for m in prompt.messages)


def turn_text(prompt: Prompt, n: int) -> str:
    """One turn's text as it is."""
    return _told(prompt.messages[n].text, prompt.messages[n].tool_calls)


def _cards(sheet: Sheet, each: list[tuple[Asked, Field]], flags: tuple[Flag, ...], held: Mapping[str, str]) -> tuple[Card, ...]:
    cards: list[Card] = []
    for place, response in enumerate(on_screen(sheet.item.responses, sheet.shown)):
        own = tuple(replace(asked, start=response.text) if field.initial == "response" else asked for asked, field in each)
        cards.append(Card(place, letter(place), shown(response.text), own, any(flag.at(place) in held for flag in flags)))
    return tuple(cards)


def _asked(question: Question, field: Field, by_name: bool) -> Asked:
    """A field under its own label; one of several questions' that has only this field, under the question's words."""
    name = f"{question.name}.{field.name}"
    label = field.label if by_name or not question.ask else question.ask
    return Asked(name, field.kind, label, field.options, field.required, field.low, field.high, field.help)


def _told(text: str, calls: tuple[str, ...]) -> str:
    return "\n\n".join([text, *(f"```\n{call}\n```" for call in calls)]).strip()


def _role(role: str) -> str:
    return role if role in WHO else "tool"
