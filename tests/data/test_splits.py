"""Splits: by content, once, as large as asked, and without leaks."""

from collections import Counter

import pytest

from tutelage.core.errors import UserError
from tutelage.core.text import ask
from tutelage.data.splits import SPLITS, leak, split, split_of, unique

SHARES = {"sft": 0.4, "label": 0.3, "rl": 0.2, "eval": 0.1}


def test_shares_are_met_within_chance():
    n = 4000
    counts = Counter(split_of(ask(f"question {i}").id, 0, SHARES) for i in range(n))
    for name, share in SHARES.items():
        assert abs(counts[name] - share * n) < 4 * (n * share * (1 - share)) ** 0.5


def test_a_prompt_stays_where_it_is():
    prompts = [ask(f"question {i}") for i in range(200)]
    parts = split(prompts, 7, SHARES)
    assert parts == split(prompts, 7, dict(reversed(SHARES.items())))
    again = split(reversed(prompts[:50]), 7, SHARES)
    for name in SPLITS:
        assert {p.id for p in again[name]} == {p.id for p in parts[name]} & {p.id for p in prompts[:50]}
    assert parts != split(prompts, 8, SHARES)
    leak(parts)


def test_a_share_of_zero_gets_nothing_and_of_one_all():
    ids = [ask(str(i)).id for i in range(100)]
    assert {split_of(i, 0, {"sft": 0.0, "rl": 1.0, "eval": 0.0}) for i in ids} == {"rl"}


@pytest.mark.parametrize(
    ("shares", "said"),
    [({"sft": 0.5, "evl": 0.5}, "did you mean 'eval'"), ({"sft": 1.5, "rl": -0.5}, "from 0 to 1"), ({"sft": 0.5}, "sum to 0.5")],
)
def test_wrong_shares_are_refused(shares, said):
    with pytest.raises(UserError, match=said):
        split([], 0, shares)


def test_identical_prompts_are_one():
    first, second = ask("hello", family="a"), ask("who")
    assert unique([first, second, ask("hello", family="b")]) == [first, second]
    assert unique([first, ask("hello", family="b")])[0].tags == {"family": "a"}
    assert sum(map(len, split([first, first], 0, SHARES).values())) == 1


def test_a_leak_names_the_prompt_and_both_uses():
    with pytest.raises(UserError, match=f"prompt {ask('who').id} .'who'. leaks: it is used for 'rl' and for 'eval'"):
        leak({"rl": [ask("hello"), ask("who"), ask("who")], "label": [ask("no")], "eval": [ask("who", family="x")]})
