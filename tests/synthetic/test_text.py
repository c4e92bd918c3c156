"""The text to pre-train on: right shapes, all of it in the lexicon, its held-out part unseen."""

import re
from collections import Counter

from tutelage.synthetic import items, lexicon, text
from tutelage.synthetic.demonstrations import demonstrations
from tutelage.synthetic.enumerable import ANSWERS, PROMPT
from tutelage.synthetic.world import SENTENCES, world

WORDS = set(lexicon.vocabulary())


def test_vocabulary_is_small_and_has_each_word_once():
    words = lexicon.vocabulary()
    assert len(words) == len(set(words))
    assert 500 <= len(words) <= 600
    assert all(word == word.strip().lower() and " " not in word for word in words)


def test_classes_do_not_overlap():
    members = [word for words in lexicon.CLASSES.values() for word in words]
    assert len(members) == len(set(members))
    assert not set(lexicon.VILLAGERS) & set(lexicon.STRANGERS)
    assert not set(lexicon.FOREIGN) & (set(members) | set(lexicon.OTHER))


def test_nothing_written_is_outside_the_vocabulary():
    written = [PROMPT.last, *ANSWERS]
    written += [d.text for d in text.documents(tokens=60_000)]
    for row in demonstrations(tokens=60_000):
        written += [row.response.text, *(m.text for m in row.prompt.messages)]
    for split in items.POOL:
        for item in items.pool(split, 0):
            written += [*item.turns, *item.right, *item.faulty]
    assert {word for line in written for word in line.split(" ")} <= WORDS


def test_documents_have_their_length_and_number():
    rows = text.documents(tokens=30_000)
    lengths = [len(row.text.split()) for row in rows]
    assert max(lengths) <= text.LONGEST
    assert 30_000 <= sum(lengths) + len(rows) < 30_000 + text.LONGEST + 1
    stories = [len(text.story(text.stream("stories", n), world()).split()) for n in range(100)]
    assert text.SHORTEST <= min(stories) <= max(stories) <= text.LONGEST


def test_documents_come_from_the_seed_and_splits_differ():
    train, again = text.documents(tokens=20_000), text.documents(tokens=20_000)
    heldout, other = text.documents("heldout", tokens=20_000), text.documents(tokens=20_000, seed=1)
    assert train == again
    assert not {d.id for d in train} & {d.id for d in heldout}
    assert not {d.id for d in train} & {d.id for d in other}


def test_more_tokens_only_add_documents():
    assert text.documents(tokens=5_000) == text.documents(tokens=20_000)[: len(text.documents(tokens=5_000))]


def test_pages_restate_all_their_facts_twice():
    for n in range(100):
        page = text.restating(text.stream("test", n), world())
        facts = re.findall(r"\w+ (?:lives at the|works as a|has a|likes|wears) \w+ \.", page)
        assert set(Counter(facts).values()) == {1 + text.ROUNDS}


def test_villagers_are_always_told_the_same():
    village = world()
    true = {SENTENCES[a].format(name=n, value=v) for n, facts in village.villagers.items() for a, v in facts.items()}
    for document in text.documents(tokens=60_000):
        for name, rest in re.findall(r"(\w+) ((?:lives at the|works as a|likes|wears) \w+ \.)", document.text):
            if name in village.villagers:
                assert f"{name} {rest}" in true


def test_worlds_differ_by_seed_and_stay_the_same():
    assert len(world(0).villagers) == 64
    assert all(len(facts) == 5 for facts in world(0).villagers.values())
    assert world(0) == world.__wrapped__(0)
    assert world(0).villagers != world(1).villagers
    assert len(world(0).spells) == len(world(0).tasks) == 24
