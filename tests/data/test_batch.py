"""Which trees lie in a stream, and what they bring with them."""

import pytest

from tutelage.data.batch import filled, pack
from tutelage.data.tree import OTHER, POLICY, Tree

NAME = "logp@reference"


def test_streams_are_filled_in_order():
    trees = [Tree((2,), ((3, 4), (5,))), Tree((6, 7), ((8, 9, 1),)), Tree((3,), ((1,), (2, 2), (4,)))]
    assert list(filled(trees, 9)) == [trees[:2], trees[2:]] and list(filled([], 5)) == []
    assert list(filled(trees, 1)) == list(filled(trees, 8)) == [[tree] for tree in trees]


def test_a_column_named_as_a_reading_is_laid_at_the_trained_tokens():
    one = Tree((3, 4), ((5, 6, 7), (8,)), writers=((POLICY, OTHER, POLICY), (POLICY,)), columns={NAME: ((-1.0, 9.0, -2.0), (-3.0,))})
    other = Tree((3,), ((9, 1),), columns={NAME: ((-4.0, -5.0),), "weight": 2.0})
    batch = pack([one, other])
    assert list(batch.brought) == [NAME] and batch.brought[NAME].tolist() == [-1.0, -2.0, -3.0, -4.0, -5.0]
    assert not pack([Tree((3,), ((9, 1),), columns={"logp": ((0.0, 0.0),)})]).brought


def test_a_tree_that_lacks_what_its_neighbors_bring_is_refused():
    with pytest.raises(ValueError, match="some trees bring logp@reference"):
        pack([Tree((3,), ((9,),), columns={NAME: ((-1.0,),)}), Tree((3,), ((9,),))])
