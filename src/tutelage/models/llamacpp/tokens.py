"""Tokens of a model, row by row, as GGUF lists them; the kinds are its numbers."""

from typing import Any

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6


def listed(page: dict[str, Any], rows: int) -> tuple[list[str], list[int]]:
    """A token and its kind for each row of the model, from a page of tokenizer.json. Rows without a token are unused; an added
    token without a row (transformers gives Gemma a <mask>) is none that the model could read."""
    tokens, kinds = [f"[PAD{row}]" for row in range(rows)], [UNUSED] * rows
    for token, row in page["model"]["vocab"].items():
        tokens[row], kinds[row] = token, NORMAL
    for token in inside(page, rows):
        tokens[token["id"]], kinds[token["id"]] = token["content"], CONTROL if token["special"] else USER_DEFINED
    return tokens, kinds


def inside(page: dict[str, Any], rows: int) -> list[dict[str, Any]]:
    """Added tokens that the model has a row for."""
    return [token for token in page["added_tokens"] if token["id"] < rows]


def pairs_of(page: dict[str, Any]) -> list[tuple[str, str]]:
    """What is merged, the first first."""
    listed = (pair.split(" ", 1) if isinstance(pair, str) else pair for pair in page["model"]["merges"])
    return [(left, right) for left, right in listed]
