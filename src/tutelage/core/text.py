"""What is said: messages, prompts, responses, demonstrations; frozen, with ids made from their content alone."""

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property


def content_id(*parts: object) -> str:
    """16 hex digits of the SHA-256 of `parts` as canonical JSON: the same words have the same id on every machine."""
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `content` is a tuple of text parts; other kinds of part (image, audio) are refused by the readers, by name."""

    role: str
    content: tuple[str, ...]
    tool_calls: tuple[str, ...] = ()
    """Canonical JSON of each call, in order."""
    name: str | None = None

    @property
    def text(self) -> str:
        return "".join(self.content)


@dataclass(frozen=True)
class Prompt:
    """What the policy is asked: a conversation whose next turn is the assistant's.

    `tags` (family, topic, ...) describe the prompt and are no part of its id.
    """

    messages: tuple[Message, ...]
    tags: dict[str, str] = field(default_factory=dict[str, str], compare=False, hash=False)

    @cached_property
    def id(self) -> str:
        return content_id("prompt", [[m.role, m.content, m.tool_calls, m.name] for m in self.messages])

    @property
    def last(self) -> str:
        """The text of the last turn."""
        return self.messages[-1].text


def ask(text: str, **tags: str) -> Prompt:
    """A prompt of one user turn."""
    return Prompt((Message("user", (text,)),), tags)


@dataclass(frozen=True)
class Response:
    """What was answered.

    `ids` are the sampled token ids; they are used as they are when `tokenizer` (its hash) agrees, so sampled text is never
    tokenised again. `finished` is false when the response was cut at the length limit: it is then never taught to end.
    """

    text: str
    ids: tuple[int, ...] | None = None
    tokenizer: str | None = None
    finished: bool = True
    by: str = ""
    """Who wrote it: an artifact's hash, an annotator's pseudonym, a file."""

    @cached_property
    def id(self) -> str:
        return content_id("response", self.text, self.finished)


@dataclass(frozen=True)
class Demonstration:
    """A prompt and the response to imitate. Assistant turns inside the prompt are history."""

    prompt: Prompt
    response: Response


@dataclass(frozen=True, slots=True)
class Document:
    """A piece of plain text, all of it to be learnt."""

    text: str

    @property
    def id(self) -> str:
        return content_id("document", self.text)
