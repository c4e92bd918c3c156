"""Prompts and the way back to their items; demonstrations; the split of what is trained and what is held out."""

from collections import Counter

import pytest

from tutelage.core.errors import UserError
from tutelage.core.text import ask
from tutelage.synthetic import items
from tutelage.synthetic.demonstrations import BEFORE, demonstrations
from tutelage.synthetic.enumerable import PROMPT
from tutelage.synthetic.gold import grade


def test_prompts_are_different_and_families_weigh_the_same():
    prompts = items.prompts()
    assert len({p.id for p in prompts}) == len(prompts) == items.POOL["train"]
    for n in (160, len(prompts)):
        counts = Counter(p.tags["family"] for p in prompts[:n])
        assert len(counts) == len(items.TRAINED)
        assert max(counts.values()) - min(counts.values()) <= 1


def test_every_family_has_four_phrasings_and_reserves_some():
    for family in items.TRAINED:
        assert len(set(family.PHRASINGS)) >= 4
        assert len(set(family.RESERVED)) >= 2
        assert not set(family.PHRASINGS) & set(family.RESERVED)


@pytest.mark.parametrize("split", list(items.POOL))
def test_prompts_and_answers_have_their_lengths(split: items.Split):
    for item in items.pool(split, 0):
        asked = sum(len(turn.split()) + 1 for turn in item.turns) + 1
        assert 8 <= asked <= 62, item
        low, high = (24, 48) if item.kind == "story" else (2, 24)
        assert all(low <= len(answer.split()) <= high for answer in item.right), item


def test_heldout_prompts_are_of_three_kinds_and_unseen():
    prompts = items.prompts(split="heldout")
    assert set(Counter(p.tags["heldout"] for p in prompts)) == {"phrasing", "longer", "recombined"}
    assert not {p.id for p in prompts} & {p.id for p in items.prompts()}
    for item in items.pool("heldout", 0):
        assert (item.level == 4) == (item.heldout == "longer")


def test_items_are_found_by_prompt_alone():
    for split in items.POOL:
        for item in items.pool(split, 0)[:50]:
            bare = ask(item.turns[0]) if len(item.turns) == 1 else item.prompt
            assert items.item_of(bare).turns == item.turns


def test_unknown_prompts_and_too_many_are_refused():
    with pytest.raises(UserError, match="is not one of synthetic:prompts"):
        items.item_of(ask("who are you ?"))
    with pytest.raises(UserError, match="has 20500 train prompts, not 21000"):
        items.prompts(21000)


def test_prompts_come_from_the_seed():
    assert items.pool.__wrapped__("heldout", 0) == items.pool("heldout", 0)
    assert items.prompts(20, seed=1) != items.prompts(20, seed=0)


def test_demonstrations_are_about_no_prompt_that_is_given():
    rows = demonstrations(tokens=60_000)
    given = {p.id for split in items.POOL for p in items.prompts(split=split)}
    assert not given & {row.prompt.id for row in rows}
    assert sum(row.prompt == PROMPT for row in rows) >= len(rows) // 50


def test_heldout_demonstrations_are_about_other_prompts():
    train, heldout = demonstrations(tokens=60_000), demonstrations(tokens=10_000, split="heldout")
    assert len(heldout) > 200
    assert not {row.prompt.id for row in train} & {row.prompt.id for row in heldout}
    assert len({row.prompt.tags["family"] for row in heldout}) == len(items.TRAINED)


def test_demonstrations_are_imperfect_and_the_right_answers_are_right():
    wordy = " ".join(row.response.text for row in demonstrations(tokens=60_000))
    assert any(filling in wordy for filling in BEFORE)
    for item in items.pool("train", 0)[:480]:
        for answer in item.right:
            assert grade(item, answer).overall == 1.0, (item, answer)
        for answer in item.faulty:
            assert grade(item, answer).overall < 1.0, (item, answer)
