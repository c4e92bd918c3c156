"""A tokenizer in llama.cpp's terms: tokens, which of them are control, and of byte-level BPE merges and how a text is cut before it is
merged. SentencePiece's kind is in pieces.py.

llama.cpp knows the cutting by name, so a tokenizer's own rule is looked up among those that it has (llama.cpp's src/llama-vocab.cpp keeps
the original expressions beside its own). A rule that isn't there, or another kind of tokenizer, is refused: its texts would be read as
other tokens. llama.cpp doesn't normalize; what would change a text is refused, and NFC, which changes few, is named.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from tutelage.core.errors import UserError
from tutelage.models.llamacpp.pieces import pieces, prefix, steps_of
from tutelage.models.llamacpp.tokens import listed, pairs_of

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
AFTER = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+"
    r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
CUTS = {
    (rf"{CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{AFTER}", True): "llama-bpe",
    (rf"{CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{AFTER}", False): "smaug-bpe",
    (rf"{CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{AFTER}", False): "qwen2",
    (TEKKEN, True): "tekken",
    ("bytes", False): "gpt-2",
    ("digits, bytes", False): "smollm",
}
"""By expression, and whether a word that is a token whole is taken without merging."""
GENERATION = re.compile(r"\{%(-?)\s*(end)?generation\s*(-?)%\}")


@dataclass(frozen=True)
class Vocabulary:
    """What goes into the file."""

    kind: str
    """llama.cpp's name: `gpt2` for byte-level BPE, `llama` for SentencePiece's kind."""
    tokens: tuple[str, ...]
    kinds: tuple[int, ...]
    merges: tuple[str, ...]
    """Of byte-level BPE."""
    scores: tuple[float, ...]
    """By token, of SentencePiece's kind."""
    cut: str
    """llama.cpp's name of the rule that cuts a text into words."""
    space: bool
    """Whether a space is put before a text, and before what follows a special token."""
    bos: int | None
    eos: int
    pad: int | None
    unknown: int | None
    adds_bos: bool
    """Whether a text begins with `bos` when it is read with special tokens."""
    adds_eos: bool
    chat_template: str | None
    notes: tuple[str, ...] = ()


def vocabulary(folder: Path, rows: int) -> Vocabulary:
    """The tokenizer in `folder`, for a model of `rows` rows. Raises UserError for one that llama.cpp would read otherwise."""
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    page = json.loads(tokenizer.backend_tokenizer.to_str())  # as it reads, which needn't be what tokenizer.json says
    check(page, folder)
    adds_bos, adds_eos = added(tokenizer, folder)
    template = unmarked(tokenizer.chat_template)
    ids = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    if page["model"].get("byte_fallback"):
        space, notes = prefix(page, tokenizer, folder)
        tokens, kinds, scores = pieces(page, rows, folder)
        unknown = page["model"]["vocab"].get(page["model"].get("unk_token"))
        texts = (tuple(tokens), tuple(kinds), (), tuple(scores))
        return Vocabulary("llama", *texts, "default", space, *ids, unknown, adds_bos, adds_eos, template, notes)
    notes = composes(page, folder)
    tokens, kinds = listed(page, rows)
    merges = tuple(" ".join(pair) for pair in pairs_of(page))
    if not merges:
        raise UserError(
            f"{folder}: the tokenizer merges nothing, and llama.cpp reads no such vocabulary of bytes; export it with --as plain"
        )
    return Vocabulary(
        "gpt2", tuple(tokens), tuple(kinds), merges, (), cut_of(page, folder), False, *ids, None, adds_bos, adds_eos, template, notes
    )


def check(page: dict[str, Any], folder: Path) -> None:
    """Raises UserError for another kind, and for what changes tokens and has no place in the file."""
    model = page["model"]
    if model["type"] != "BPE":
        sorts = {"WordLevel": "takes whole words", "WordPiece": "is of word pieces", "Unigram": "is a unigram model"}
        what = sorts.get(model["type"], f"is of the kind {model['type']}")
        built = "models of {new: ...} have it, so export those" if model["type"] == "WordLevel" else "export it"
        raise UserError(f"{folder}: the tokenizer {what}, for which no vocabulary of llama.cpp is written here; {built} with --as plain")
    for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix"):
        if model.get(name):
            raise UserError(f"{folder}: the tokenizer's {name} is {model[name]!r}, which llama.cpp doesn't know")
    moved = [token["content"] for token in page["added_tokens"] if token["lstrip"] or token["rstrip"] or token["single_word"]]
    if moved:
        raise UserError(
            f"{folder}: the token {moved[0]!r} takes the space beside it (lstrip, rstrip or single_word), which is not written here"
        )


def composes(page: dict[str, Any], folder: Path) -> tuple[str, ...]:
    """What is to be said of a tokenizer that composes accents. Raises UserError for one that changes texts in other ways."""
    steps = steps_of(page.get("normalizer"), "normalizers")
    strange = [step["type"] for step in steps if step["type"] != "NFC"]
    if strange:
        raise UserError(f"{folder}: the tokenizer changes texts before it reads them ({strange[0]}), which llama.cpp doesn't")
    said = "llama.cpp doesn't compose accents (NFC) as this tokenizer does: a text with letters and accents apart is read as other tokens"
    return (said,) if steps else ()


def cut_of(page: dict[str, Any], folder: Path) -> str:
    """llama.cpp's name of how the tokenizer cuts a text."""
    first: dict[str, Any] = page.get("pre_tokenizer") or {"type": "none"}
    steps = first["pretokenizers"] if first["type"] == "Sequence" else [first]
    said = expression(steps)
    found = CUTS.get((said or "", bool(page["model"].get("ignore_merges"))))
    if found is None:
        raise UserError(f"{folder}: the tokenizer cuts texts by a rule that llama.cpp has no name for here ({said or first['type']})")
    return found


def expression(steps: list[dict[str, Any]]) -> str | None:
    """The rule in a word or as its expression; None where it is none of the forms that are known."""
    last = steps[-1]
    if last["type"] != "ByteLevel" or last.get("add_prefix_space"):
        return None
    if len(steps) == 1:
        return "bytes" if last.get("use_regex", True) else None
    before: dict[str, Any] = steps[0] if len(steps) == 2 else {"type": "none"}
    if before["type"] == "Digits" and before.get("individual_digits") and last.get("use_regex", True):
        return "digits, bytes"
    plain = before["type"] == "Split" and before["behavior"] == "Isolated" and not before["invert"] and not last.get("use_regex", True)
    return before["pattern"].get("Regex") if plain else None


def added(tokenizer: Any, folder: Path) -> tuple[bool, bool]:
    """Whether reading a text puts the beginning before it and the end after it."""
    plain, whole = tokenizer("a b", add_special_tokens=False).input_ids, tokenizer("a b").input_ids
    begins = whole[:1] != plain[:1] and whole[:1] == [tokenizer.bos_token_id]
    ends = whole[-1:] != plain[-1:] and whole[-1:] == [tokenizer.eos_token_id]
    if whole != [*([tokenizer.bos_token_id] if begins else []), *plain, *([tokenizer.eos_token_id] if ends else [])]:
        raise UserError(f"{folder}: the tokenizer puts other tokens around a text than its beginning and end, which llama.cpp doesn't")
    return begins, ends


def unmarked(template: Any) -> str | None:
    """The chat template without the marks of what is trained, which only transformers reads; spaces are trimmed as they were."""
    if not isinstance(template, str):
        return None

    def mark(found: re.Match[str]) -> str:
        before, end, after = found.groups()
        return f"{{%{before} {'endif' if end else 'if true'} {after}%}}"

    return GENERATION.sub(mark, template)
