"""Flags: InstructGPT's list, and a study's own."""

import pytest

from tutelage.core.errors import UserError
from tutelage.feedback.flags import TABLE_3, Flag, checked, named


def test_table_3_has_its_eleven_binary_rows():
    assert len(TABLE_3) == 11 == len({flag.name for flag in TABLE_3})
    assert checked(TABLE_3) == TABLE_3


def test_keys_of_table_3_name_no_response_and_nothing_of_the_page():
    keys = [flag.key for flag in TABLE_3]
    assert len(set(keys)) == len(keys) and all(len(key) == 1 and key.isalpha() for key in keys)
    assert not set(keys) & set("abcdefghius")


def test_names_serve_as_labels():
    assert checked([Flag("rude"), Flag("wrong", "Wrong", "w")]) == (Flag("rude", "rude"), Flag("wrong", "Wrong", "w"))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ((Flag("rude"), Flag("rude")), "two flags are named 'rude'"),
        ((Flag("rude", key="r"), Flag("wrong", key="r")), "'rude' and 'wrong' have the same key 'r'"),
        ((Flag("rude", key="ru"),), "a key is a single sign"),
    ],
)
def test_flags_that_would_be_confused_are_refused(flags, said):
    with pytest.raises(UserError, match=said):
        checked(flags)


def test_flags_by_name():
    assert [flag.key for flag in named(["violent", "opinion"])] == ["v", "o"]
    with pytest.raises(UserError, match="no flag 'halucination'; did you mean 'hallucination'"):
        named(["halucination"])
