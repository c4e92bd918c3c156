"""A tokenizer of SentencePiece's kind (Llama 2, Mistral, Gemma) in llama.cpp's terms: tokens with scores, bytes to fall back on, and
whether a space is put before a text.

tokenizers merges the pair that its list names first. llama.cpp has no list: of all neighbours that together are a token it joins those
whose token has the best score (llama.cpp's src/llama-vocab.cpp, llm_tokenizer_spm_session). Both do the same where

    every way to put a token together from two is in the list,        else llama.cpp takes ways that the tokenizer doesn't
    and the list goes token by token,                                  so that a token's place in it is its score

which holds for what SentencePiece trained and transformers converted; both are checked, and what tokenizers trained itself (with
byte_fallback) is refused. Of two overlapping ways to one token llama.cpp takes the left one, as SentencePiece does, tokenizers the one
listed first: that concerns periodic texts alone. And a text that has the mark ▁ itself where spaces are tokens of their own isn't compared.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from tokenizers import Tokenizer

from tutelage.core.errors import UserError
from tutelage.models.llamacpp.tokens import BYTE, NORMAL, UNKNOWN, USER_DEFINED, inside, listed, pairs_of

SPACE = "▁"
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
TO_SPACE = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
PREPEND = {"type": "Prepend", "prepend": SPACE}
NOTHING_LEFT = {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious", "invert": False}
"""Gemma's cutting, which comes after its spaces are none."""


def pieces(page: dict[str, Any], rows: int, folder: Path) -> tuple[list[str], list[int], list[float]]:
    """Token, kind and score for each row. Raises UserError for a tokenizer that llama.cpp would read otherwise."""
    check_model(page, folder)
    vocab, runs = page["model"]["vocab"], runs_of(page, folder)
    tokens, kinds = listed(page, rows)
    scores = scored(page, runs, folder)
    for token in inside(page, rows):
        if kinds[token["id"]] == USER_DEFINED and SPACE in token["content"] and token["content"] in vocab:
            kinds[token["id"]] = NORMAL  # a text has spaces where this has marks, so it is put together like others
    for text in runs:
        tokens[vocab[text]], kinds[vocab[text]] = " " * len(text), USER_DEFINED
    for byte in BYTES:
        kinds[vocab[byte]] = BYTE
    if page["model"].get("unk_token") in vocab:
        kinds[vocab[page["model"]["unk_token"]]] = UNKNOWN
    return tokens, kinds, [scores.get(token, 0.0) for token in tokens]


def check_model(page: dict[str, Any], folder: Path) -> None:
    """Raises UserError for what has no place in the file."""
    missing = [byte for byte in BYTES if byte not in page["model"]["vocab"]]
    if missing:
        raise UserError(f"{folder}: the tokenizer falls back on bytes but has no token {missing[0]}, without which llama.cpp fails")
    if page["model"].get("ignore_merges"):
        raise UserError(f"{folder}: the tokenizer takes whole words without merging (ignore_merges), which llama.cpp does for no such kind")
    for token in page["added_tokens"]:
        text = token["content"]
        if token["normalized"] and (SPACE in text or " " in text or prepends(page)):
            raise UserError(
                f"{folder}: the token {text!r} is looked for after spaces were replaced (normalized), which is not written here"
            )


def scored(page: dict[str, Any], runs: set[str], folder: Path) -> dict[str, float]:
    """A score for each token that is put together from others: 0, -1, ... Raises UserError where the list can't be said by scores."""
    pairs = [(left, right) for left, right in pairs_of(page) if left + right not in runs]
    scores: dict[str, float] = {}
    last = None
    for left, right in pairs:
        whole = left + right
        if whole != last and whole in scores:
            raise UserError(
                f"{folder}: the tokenizer merges {left!r} and {right!r} apart from other pairs that make {whole!r}, and llama.cpp knows "
                "one rank for a token; use --as plain"
            )
        scores.setdefault(whole, -float(len(scores)) - 1)
        last = whole
    known, vocab = set(pairs), page["model"]["vocab"]
    apart = {token["content"] for token in page["added_tokens"]} | runs
    for left, right in halves(vocab, apart):
        if (left, right) not in known and not any(text in left + right for text in apart):
            raise UserError(
                f"{folder}: the tokenizer never merges {left!r} and {right!r}, which llama.cpp would, since {left + right!r} is a token; "
                "use --as plain"
            )
    return scores


def halves(vocab: dict[str, int], apart: set[str]) -> Iterator[tuple[str, str]]:
    """Every two neighbours that together are a token; a letter may be one without being a token."""
    for whole in vocab.keys() - apart:
        for cut in range(1, len(whole)):
            left, right = whole[:cut], whole[cut:]
            if (cut == 1 or left in vocab) and (len(right) == 1 or right in vocab):
                yield left, right


def runs_of(page: dict[str, Any], folder: Path) -> set[str]:
    """Gemma's tokens of several spaces. llama.cpp takes them out of a text before anything is merged, the longest first; so they must be
    what the tokenizer merges first, with the same end."""
    vocab = page["model"]["vocab"]
    added = {token["content"] for token in page["added_tokens"] if not token["special"]}
    runs = {text for text in added if len(text) > 1 and set(text) == {SPACE} and text in vocab}
    if not runs:
        return runs
    made = [left + right for left, right in pairs_of(page)]
    first = all(whole in runs for whole in made[: sum(whole in runs for whole in made)])
    lengths = {len(run) for run in runs}
    reader = Tokenizer.from_str(json.dumps(page))
    same = all(reader.encode(" " * n, add_special_tokens=False).tokens == greedy(n, lengths) for n in range(1, 3 * max(lengths)))
    if not (first and same) or any(SPACE * 2 in whole and whole not in runs for whole in made):
        raise UserError(f"{folder}: the tokenizer doesn't merge its tokens of several spaces first, as llama.cpp does; use --as plain")
    return runs


def greedy(n: int, lengths: set[int]) -> list[str]:
    """n spaces in tokens, the longest first."""
    said = []
    while n:
        length = max({size for size in lengths if size <= n}, default=1)
        said.append(SPACE * length)
        n -= length
    return said


def prepends(page: dict[str, Any]) -> bool:
    return PREPEND in steps_of(page.get("normalizer"), "normalizers")


def steps_of(step: dict[str, Any] | None, parts: str) -> list[dict[str, Any]]:
    """The steps of a sequence, a single step, or none."""
    return [] if step is None else step[parts] if step["type"] == "Sequence" else [step]


def prefix(page: dict[str, Any], tokenizer: Any, folder: Path) -> tuple[bool, tuple[str, ...]]:
    """Whether llama.cpp is to put a space before a text, and before what follows a special token; what a user should know of that.
    Raises UserError for a tokenizer that does other things to a text."""
    before, cuts = steps_of(page.get("normalizer"), "normalizers"), steps_of(page.get("pre_tokenizer"), "pretokenizers")
    if before in ([TO_SPACE], [PREPEND, TO_SPACE]) and all(cut == NOTHING_LEFT for cut in cuts):
        return prepends(page), ()
    mark = cuts[0] if len(cuts) == 1 else {"type": ", ".join(cut["type"] for cut in cuts) or "none"}
    if before or mark["type"] != "Metaspace" or mark.get("split") or mark["replacement"] != SPACE:
        said = f"{', '.join(step['type'] for step in before) or 'none'}; {mark['type']}"
        raise UserError(f"{folder}: the tokenizer changes or cuts texts ({said}) in a way that llama.cpp hasn't for SentencePiece's kind")
    if mark["prepend_scheme"] == "never":
        return False, ()
    if mark["prepend_scheme"] == "first" and chats(page, tokenizer):
        return False, (
            "this tokenizer puts a space before the first word of a plain text and none within a chat, llama.cpp can't tell them apart: "
            "the file is right for chats, and a plain text should be given with a space before it",
        )
    return True, (
        "llama.cpp puts a space also before a text that begins with one"
        + (", and after special tokens" if mark["prepend_scheme"] == "first" else "")
        + "; this tokenizer doesn't, so such texts are read as other tokens",
    )


def chats(page: dict[str, Any], tokenizer: Any) -> bool:
    """Whether there is a chat template, and its texts begin with an added token."""
    if not tokenizer.chat_template:
        return False
    try:
        said = tokenizer.apply_chat_template([{"role": "user", "content": "a"}], tokenize=False)
    except TemplateError:
        return False
    return said.startswith(tuple(token["content"] for token in page["added_tokens"]))
