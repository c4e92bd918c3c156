"""Conversations as text: the tokenizer's own chat template, or ours where it has none.

A template is asked for three things only: the text up to and with the generation mark (what the sampler is given), the text that
the assistant writes after it, and which characters of that are the assistant's (`{% generation %}` marks, where it has them).
Whatever a template writes after the end token is its own and never trained.

    ours:  <|user|>\\ntext\\n<|assistant|>\\nresponse END \\n

begins with the tokenizer's beginning token where it has one, and needs no special token but the end.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerFast
from transformers.utils.chat_template_utils import render_jinja_template

from tutelage.core.errors import UserError
from tutelage.core.text import Message

OURS = (
    "{{- bos_token if bos_token and bos_token != eos_token else '' -}}"
    "{%- for message in messages -%}"
    "{{- '<|' + message['role'] + '|>\\n' -}}"
    "{%- if message['role'] == 'assistant' -%}{%- generation -%}{{- message['content'] + eos_token -}}{%- endgeneration -%}"
    "{%- else -%}{{- message['content'] -}}{%- endif -%}{{- '\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>\\n' -}}{%- endif -%}"
)
DATE = datetime(2024, 7, 26)
TODAY = "26 Jul 2024"
"""The date that templates write which ask for one: a prompt must be the same tomorrow."""
DATED = (
    "{% macro strftime_now(format) %}{{ format"
    + "".join(f" | replace('%{code}', '{DATE.strftime('%' + code)}')" for code in "aAbBdHIjmMpSyY")
    + " }}{% endmacro %}{{ '' }}"
)
"""Stands before a template that asks the clock itself. (Functions can't be handed to transformers' renderer; the empty text keeps the
template's first line as it is.)"""
HIDDEN = 0xF0000
"""Added to the letters of a special token that somebody spelled in a message: rendered text holds as many letters as before, and
what the template wrote can be told from what was quoted."""
PROBE, ASKED = "qxzprobezxq", "qxzaskedzxq"
"""An answer and a question that no template writes by itself."""
EMPTY_THOUGHT = re.compile(r"\s*(<think>\s*</think>|<\|channel>thought\s*<channel\|>)\s*")
UNTHINKING = "{%- set enable_thinking = false -%}"
"""Before a template that may think, so that it doesn't."""

Spans = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Turn:
    """One assistant turn as text: `head` is what the sampler is given, `written` what comes after it, without the end."""

    head: str
    written: str
    marks: Spans | None
    """Characters of head + written that the assistant wrote, by the template's own marks; None: all of `written`."""
    ends: bool
    """Whether the template wrote the end token after it."""
    joined: bool = False
    """Whether the template would not have written the two in one (`Template._joined`)."""


@dataclass(frozen=True)
class Template:
    """A chat template and what was found out about it by asking."""

    source: str
    tokens: Mapping[str, Any]
    """The tokenizer's special tokens by name, as templates know them."""
    end: str
    special: tuple[str, ...]
    before_end: str = ""
    """What the template writes between a response and its end (often nothing, sometimes a space)."""
    after: str = ""
    """What it writes after a response when it writes no end."""
    parts: bool = False
    """Whether it takes a message as a list of parts alone, as some of models that see do."""

    @property
    def marked(self) -> bool:
        return re.search(r"\{%-?\s*generation\s*-?%\}", self.source) is not None

    def head(self, messages: Sequence[Message], where: str) -> str:
        """The conversation and the generation mark."""
        return self.render(messages, where, mark=True)[0]

    def turn(self, messages: Sequence[Message], content: str, finished: bool, where: str) -> Turn:
        """The assistant's answer `content` after `messages`, as the policy would write it. UserError when the template begins answers
        otherwise than by its generation mark."""
        head = self.head(messages, where)
        text, marks = self.render([*messages, Message("assistant", (content,))], where)
        joined = not text.startswith(head)
        if joined:
            text, marks = self._joined(head, messages, text, marks, where)
        written, end, _ = text[len(head) :].partition(self.end)
        if not end:
            written = written.removesuffix(self.after)
        elif not finished:
            written = written.removesuffix(self.before_end)
        return Turn(head, written, marks, bool(end), joined)

    def _joined(self, head: str, messages: Sequence[Message], text: str, marks: Spans | None, where: str) -> tuple[str, Spans | None]:
        """What the sampler is given, and behind it what the template writes of the answer in `text`, where the two differ before it:
        the system speaks before the user's turn only while that is the last (Mistral), or the generation mark writes an empty thought
        that a turn without one leaves out (Gemma 4)."""
        answer = Message("assistant", (PROBE,))
        probed = [*messages[:-1], Message(messages[-1].role, (ASKED,))]
        mark = self.head(probed, where).rpartition(ASKED)[2]
        opening = self.render([*probed, answer], where)[0].rpartition(ASKED)[2].partition(PROBE)[0]
        before = self.render([*messages, answer], where)[0].partition(PROBE)[0]
        begun = opening.startswith(mark) or (mark.startswith(opening) and EMPTY_THOUGHT.fullmatch(mark[len(opening) :]))
        if not (begun and head.endswith(mark) and before.endswith(opening) and text.startswith(before)):
            raise UserError(
                f"{where}: the chat template begins an answer otherwise than its generation mark, {head[-40:]!r}; "
                + (f"put {UNTHINKING} before it, if it knows that, to close the thought" if "<think>" in mark else "correct the template")
            )
        at = len(before) - max(0, len(opening) - len(mark))
        moved = len(head) - at
        return head + text[at:], marks and tuple((a + moved, b + moved) for a, b in marks if a >= at)

    def render(self, messages: Sequence[Message], where: str, mark: bool = False) -> tuple[str, Spans | None]:
        """The text, and the spans of characters that the template marks as the assistant's (None: it has no marks)."""
        if not messages:
            raise UserError(f"{where}: a conversation needs a message before the answer")
        try:
            (text,), spans = render_jinja_template(
                conversations=[[self._guarded(m, where) for m in messages]],
                chat_template=self.source,
                add_generation_prompt=mark,
                return_assistant_tokens_mask=self.marked,
                date_string=TODAY,
                **self.tokens,
            )
        except TemplateError as error:
            raise UserError(f"{where}: the chat template refuses this conversation: {error}") from error
        return text, tuple((int(a), int(b)) for a, b in spans[0]) if self.marked else None

    def _guarded(self, message: Message, where: str) -> dict[str, Any]:
        """The message as templates know it, with special tokens in its text hidden: nobody forges a turn by spelling one."""
        if holds_hidden(message.text):
            raise UserError(f"{where}: the {message.role}'s text holds a letter of Unicode's private planes; remove it")
        text = self._hide(message.text)
        plain: dict[str, Any] = {"role": message.role, "content": [{"type": "text", "text": text}] if self.parts else text}
        if message.tool_calls:
            plain["tool_calls"] = [json.loads(self._hide(call)) for call in message.tool_calls]
        if message.name is not None:
            plain["name"] = self._hide(message.name)
        return plain

    def _hide(self, text: str) -> str:
        return self._special.sub(_hidden, text)

    def chunks(self, text: str) -> list[str]:
        """Rendered text, split where the template itself wrote special tokens."""
        return [chunk for chunk in self._special.split(text) if chunk]

    @cached_property
    def _special(self) -> re.Pattern[str]:
        return re.compile("(" + "|".join(map(re.escape, sorted(self.special, key=len, reverse=True))) + ")")


def template_of(tokenizer: PreTrainedTokenizerFast) -> Template:
    """The tokenizer's template, or ours. UserError for one that can't be trained on: it drops answers, ends them by another token
    than the tokenizer's end."""
    source = tokenizer.chat_template or OURS
    if not isinstance(source, str):
        raise UserError("the tokenizer has several chat templates; keep one in chat_template.jinja")
    end = str(tokenizer.eos_token)
    special = tuple(sorted({str(t) for t in [*tokenizer.all_special_tokens, *_marked_special(tokenizer)]}))
    first, after = _asked(Template(_dated(source), dict(tokenizer.special_tokens_map), end, special))
    other = _first_special(first, after)
    if other not in (None, end):
        raise UserError(
            f"the chat template ends an answer with {other!r}, but the tokenizer's end token is {end!r}; set eos_token to {other!r}"
        )
    before, ends, _ = after.partition(end)
    return replace(first, before_end=before if ends else "", after="" if ends else after)


def answer_end(tokenizer: PreTrainedTokenizerFast) -> str | None:
    """The special token with which the tokenizer's own chat template ends an answer; None where it has no template, or that ends answers
    with none. UserError for a template that drops them."""
    source = tokenizer.chat_template
    if not isinstance(source, str):
        return None
    special = tuple(sorted({str(t) for t in [*tokenizer.all_special_tokens, *_marked_special(tokenizer)]}))
    return _first_special(*_asked(Template(_dated(source), dict(tokenizer.special_tokens_map), str(tokenizer.eos_token), special)))


def _dated(source: str) -> str:
    """The template, told the same date every day."""
    return DATED + source if "strftime_now" in source else source


def _asked(template: Template) -> tuple[Template, str]:
    """The template, given messages as it takes them, and what it writes after an answer."""
    try:
        return template, _after_an_answer(template)
    except UserError as refused:
        parts = replace(template, parts=True)
        try:
            return parts, _after_an_answer(parts)
        except UserError:
            raise refused from None


def _after_an_answer(template: Template) -> str:
    """What a template writes after an answer."""
    text, _ = template.render([Message("user", ("hello",)), Message("assistant", (PROBE,))], "chat template")
    _, found, after = text.rpartition(PROBE)
    if not found:
        raise UserError("the chat template doesn't write what the assistant said; correct the template")
    return after


def _first_special(template: Template, text: str) -> str | None:
    """The special token that stands first in a text."""
    found = template._special.search(text)
    return found[0] if found else None


def _marked_special(tokenizer: PreTrainedTokenizerFast) -> list[str]:
    return [token.content for token in tokenizer.added_tokens_decoder.values() if token.special]


def _hidden(found: re.Match[str]) -> str:
    return "".join(chr(ord(letter) + HIDDEN) for letter in found[0])


def holds_hidden(text: str) -> bool:
    """Whether the text has letters that only hiding (or Unicode's private planes) gives."""
    return not text.isascii() and ord(max(text)) >= HIDDEN


def unhidden(text: str) -> str:
    """The text with what was hidden as it was."""
    return "".join(chr(ord(letter) - HIDDEN) if ord(letter) >= HIDDEN else letter for letter in text)
