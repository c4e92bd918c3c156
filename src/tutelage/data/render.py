"""From conversations and documents to trees of token ids: who wrote which token is decided here and nowhere else.

A response is what stands after the prompt's ids, and the prompt's ids are what the sampler is given: `prompt(p)` is a strict
prefix of every `prompt + response`. Where tokenizing the whole text would melt the first letters of a response into the prompt's
last token, the two are tokenized apart, which is how the policy itself would write them; where that changes the text, the row is
refused. A finished response ends with the end token, exactly once; one that was cut doesn't. Ids that were sampled are used as
they are when they are of this tokenizer. A special token that somebody spells in a text is read as letters, so nobody forges a turn.

Nothing here pads, so a pad token that is also the end token (GPT-2, many Llamas) does no harm: the end is trained by where it
stands, not by what it is.
"""

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any, cast

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from tutelage.core.errors import UserError
from tutelage.core.text import Demonstration, Document, Prompt, Response, content_id
from tutelage.data.template import Spans, Template, Turn, holds_hidden, template_of, unhidden
from tutelage.data.tree import OTHER, POLICY, Tree

Ids = tuple[int, ...]


def tokenizer_hash(tokenizer: PreTrainedTokenizerFast) -> str:
    """16 hex digits: equal exactly when text and ids mean the same (vocabulary, merges, normalizing, special tokens, end).

    The chat template is left out: it changes no id of a response that is there.
    """
    plain = json.loads(tokenizer.backend_tokenizer.to_str())
    settings = json.dumps({**plain, "padding": None, "truncation": None, "end": tokenizer.eos_token_id}, sort_keys=True)
    return hashlib.sha256(settings.encode()).hexdigest()[:16]


class Renderer:
    """Renders with one tokenizer. `context` is the model's, in tokens: prompts that don't leave room for a token are refused,
    responses that don't fit are cut (and then not finished). None: no limit.

    Everywhere `where` names the row in errors, "file.jsonl:12" say; without it the prompt's id does.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, context: int | None = None) -> None:
        if getattr(tokenizer, "backend_tokenizer", None) is None:
            raise UserError(f"the tokenizer ({type(tokenizer).__name__}) is a slow one; save it as tokenizer.json")
        if tokenizer.eos_token_id is None:
            raise UserError("the tokenizer has no end token; set eos_token in tokenizer_config.json")
        self.tokenizer = tokenizer
        self.context = context
        self.end = int(cast(int, tokenizer.eos_token_id))
        self._template: Template = template_of(tokenizer)
        self._text = _private(tokenizer)

    @cached_property
    def hash(self) -> str:
        """`tokenizer_hash` of the tokenizer."""
        return tokenizer_hash(self.tokenizer)

    def prompt(self, prompt: Prompt, where: str = "") -> Ids:
        """Ids of the conversation with the generation mark: what the sampler is given. UserError when longer than the context."""
        where = where or _name(prompt)
        return self._fitting(self._encode(self._template.head(prompt.messages, where), where)[0], where)

    def tree(self, prompt: Prompt, responses: Sequence[Response], *, part: str = "", where: str = "", **columns: Any) -> Tree:
        """The prompt with its K responses; `columns` go into the tree as they are. Its id is the prompt's."""
        where = where or _name(prompt)
        ids = self.prompt(prompt, where)
        rendered = [self._response(prompt, ids, response, where) for response in responses]
        return self._cut(ids, rendered, [r.finished for r in responses], part, prompt.id, columns)

    def demonstration(self, demonstration: Demonstration, train_history: bool = False, where: str = "") -> list[Tree]:
        """One tree that trains the response; with `train_history` every assistant turn that follows a message: in one tree, or in
        one tree per turn where the template writes a turn otherwise once it is history (strips its reasoning, say)."""
        prompt, response = demonstration.prompt, demonstration.response
        where = where or _name(prompt)
        past = [n for n, m in enumerate(prompt.messages) if n > 0 and m.role == "assistant"] if train_history else []
        whole = self._conversation(prompt, past, response, where) if past else None
        if whole is not None:
            return [whole]
        turns = [Demonstration(Prompt(prompt.messages[:n], prompt.tags), Response(prompt.messages[n].text)) for n in past]
        return [self._single(turn, where) for turn in [*turns, demonstration]]

    def document(self, document: Document) -> Tree:
        """All of the text, after the beginning token if the tokenizer has one, with the end. Special tokens that are spelled in
        the text are read as the letters they are."""
        begin, end = self.tokenizer.bos_token_id, self.end
        first = () if begin is None or begin == end else (int(cast(int, begin)),)
        ids = (*first, *self._letters.encode(document.text, add_special_tokens=False).ids, end)
        return Tree((), (ids,), writers=((OTHER,) * len(first) + (POLICY,) * (len(ids) - len(first)),), id=document.id)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, special tokens left out."""
        return self._text.decode(list(ids), skip_special_tokens=True)

    def spell(self, ids: Sequence[int]) -> str:
        """The text of ids, special tokens written out."""
        return self._text.decode(list(ids), skip_special_tokens=False)

    def _single(self, demonstration: Demonstration, where: str) -> Tree:
        prompt, response = demonstration.prompt, demonstration.response
        ids = self.prompt(prompt, where)
        rendered = [self._response(prompt, ids, response, where)]
        return self._cut(ids, rendered, [response.finished], "", content_id("demonstration", prompt.id, response.id), {})

    def _cut(
        self, prompt: Ids, rendered: Sequence[tuple[Ids, Ids]], finished: Sequence[bool], part: str, name: str, columns: dict[str, Any]
    ) -> Tree:
        room = None if self.context is None else self.context - len(prompt)
        return Tree(
            prompt,
            tuple(ids[:room] for ids, _ in rendered),
            tuple(writers[:room] for _, writers in rendered),
            tuple(done and (room is None or len(ids) <= room) for done, (ids, _) in zip(finished, rendered, strict=True)),
            columns,
            part=part,
            id=name,
        )

    def _response(self, prompt: Prompt, prompt_ids: Ids, response: Response, where: str) -> tuple[Ids, Ids]:
        if response.ids is not None and response.tokenizer == self.hash:
            ids = self._sampled(response, where)
            return ids, (POLICY,) * len(ids)
        turn = self._template.turn(prompt.messages, response.text, response.finished, where)
        ids, writers = self._after(prompt_ids, turn, where)
        if response.finished:
            ids, writers = (*ids, self.end), (*writers, POLICY)
        if not ids:
            raise UserError(f"{where}: a response that is cut needs a token, and this one is empty")
        return ids, writers

    def _sampled(self, response: Response, where: str) -> Ids:
        ids = tuple(response.ids or ())
        body = ids[:-1] if response.finished and ids[-1:] == (self.end,) else ids
        if self.end in body:
            raise UserError(f"{where}: the sampled ids of a response go on after the end token, or end though they were cut")
        if not ids and not response.finished:
            raise UserError(f"{where}: a response that is cut needs a token, and this one is empty")
        return (*body, self.end) if response.finished else body

    def _after(self, prompt_ids: Ids, turn: Turn, where: str) -> tuple[Ids, Ids]:
        """Ids that follow the prompt's, without the end, and who wrote each."""
        n = len(prompt_ids)
        whole, places = self._encode(turn.head + turn.written, where)
        if whole[:n] == prompt_ids:
            ids, places = whole[n:], places[n:]
        else:
            ids, apart = self._encode(turn.written, where)
            places = tuple((a + len(turn.head), b + len(turn.head)) for a, b in apart)
            if self.spell((*prompt_ids, *ids)) != self.spell(whole):
                raise UserError(
                    f"{where}: the tokenizer joins the end of the prompt, {turn.head[-20:]!r}, with the beginning of the answer, "
                    f"{turn.written[:20]!r}; end the chat template's generation mark with a special token"
                )
        writers = _writers(places, turn.marks)
        if ids and POLICY not in writers:
            raise UserError(
                f"{where}: the chat template's generation marks leave out the answer {turn.written[:20]!r}; correct the template"
            )
        return ids, writers

    def _conversation(self, prompt: Prompt, past: Sequence[int], response: Response, where: str) -> Tree | None:
        """All assistant turns in one tree, whose prompt ends at the first turn's generation mark; None when a turn in history isn't
        written as it was when it was the last, or the template wouldn't write what follows a prompt as it follows it."""
        turns = [self._template.turn(prompt.messages[:n], prompt.messages[n].text, True, where) for n in past]
        last = self._template.turn(prompt.messages, response.text, response.finished, where)
        if any(turn.joined for turn in (*turns, last)):
            return None
        ids, places = self._encode(last.head + last.written, where)
        policy = _writers(places, last.marks)
        writers = [OTHER] * len(ids)
        for turn in turns:
            head = self._encode(turn.head, where)[0]
            body = self._encode(turn.head + turn.written + self._template.end, where)[0]
            if not turn.ends or body[: len(head)] != head or ids[: len(body)] != body:
                return None
            writers[len(head) : len(body)] = [*policy[len(head) : len(body) - 1], POLICY]
        head = self._encode(last.head, where)[0]
        if ids[: len(head)] != head:
            return None
        writers[len(head) :] = policy[len(head) :]
        if response.finished:
            ids, writers = (*ids, self.end), [*writers, POLICY]
        n = len(self._fitting(self._encode(turns[0].head, where)[0], where))
        name = content_id("conversation", prompt.id, response.id)
        return self._cut(ids[:n], [(ids[n:], tuple(writers[n:]))], [response.finished], "", name, {})

    def _encode(self, text: str, where: str) -> tuple[Ids, Spans]:
        """Ids and the characters of each."""
        if holds_hidden(text):
            return self._quoting(text, where)
        found = self._text.encode(text, add_special_tokens=False)
        return tuple(found.ids), tuple(found.offsets)

    def _quoting(self, text: str, where: str) -> tuple[Ids, Spans]:
        """Of a text in which somebody spells special tokens: between those that the template wrote, all are letters."""
        ids: list[int] = []
        places: list[tuple[int, int]] = []
        start = 0
        for chunk in self._template.chunks(text):
            reader = self._text if chunk in self._template.special else self._letters
            found = reader.encode(unhidden(chunk), add_special_tokens=False)
            ids += found.ids
            places += [(a + start, b + start) for a, b in found.offsets]
            start += len(chunk)
        if self.spell(ids) != unhidden(text):
            raise UserError(f"{where}: a text spells a special token, which this tokenizer can't read as letters; remove or rewrite it")
        return tuple(ids), tuple(places)

    def _fitting(self, ids: Ids, where: str) -> Ids:
        if self.context is not None and len(ids) >= self.context:
            raise UserError(f"{where}: the prompt has {len(ids)} tokens, but the model's context of {self.context} must hold an answer too")
        return ids

    @cached_property
    def _letters(self) -> Tokenizer:
        """Reads special tokens in a text as letters."""
        tokenizer = _private(self.tokenizer)
        tokenizer.encode_special_tokens = True
        return tokenizer


def _private(tokenizer: PreTrainedTokenizerFast) -> Tokenizer:
    """A copy of our own: nobody else's truncation or padding reaches it."""
    own = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    own.no_truncation()
    own.no_padding()
    return own


def _writers(places: Spans, marks: Spans | None) -> Ids:
    """Who wrote each token, by the template's marks: tokens that share a character with a mark are the policy's."""
    if marks is None:
        return (POLICY,) * len(places)
    return tuple(POLICY if any(a < stop and b > start for start, stop in marks) else OTHER for a, b in places)


def _name(prompt: Prompt) -> str:
    start = prompt.messages[-1].text[:40] if prompt.messages else ""
    return f"prompt {prompt.id} ({start!r})"
