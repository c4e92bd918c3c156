"""Steps: each tree once an epoch, any step found on its own, streams about equally long."""

import pytest

from tutelage.core.errors import UserError
from tutelage.core.randomness import stream
from tutelage.data.pieces import Packing, Rows, batches, cut, streams
from tutelage.data.tree import Tree


def trees(n, longest=40, seed=0):
    lengths = stream("test", seed).integers(1, longest + 1, n)
    return tuple(Tree((), (tuple(range(int(length))),), id=str(i)) for i, length in enumerate(lengths))


def names(steps):
    return [[tree.id for tree in step] for step in steps]


@pytest.mark.parametrize(("tokens", "window"), [(40, 1), (64, 3), (200, 4), (200, 1000), (10**6, 4)])
def test_an_epoch_has_each_tree_once_in_full_streams(tokens, window):
    given = trees(300)
    epoch = streams(given, tokens, window, seed=1, epoch=0)
    assert sorted(name for step in names(epoch) for name in step) == sorted(tree.id for tree in given)
    assert len(epoch) == max(1, sum(tree.length for tree in given) // tokens)
    assert all(epoch)


def test_streams_of_a_window_are_about_equally_long():
    lengths = [sum(tree.length for tree in step) for step in streams(trees(2000), 400, 8, seed=1, epoch=3)]
    assert max(lengths) <= 1.15 * 400 and min(lengths) >= 0.9 * 400


def test_no_stream_is_empty_even_when_trees_fill_it():
    for seed in range(200):
        given = trees(int(stream("n", seed).integers(1, 12)), longest=10, seed=seed)
        assert all(streams(given, 10, 1 + seed % 3, seed, epoch=0))


def test_a_step_is_a_function_of_its_number():
    packing = Packing(trees(100), tokens=120, window=4, seed=5)
    in_order = names(packing.at(step) for step in range(3 * packing.steps))
    fresh = Packing(trees(100), tokens=120, window=4, seed=5)
    assert names(fresh.at(step) for step in reversed(range(3 * packing.steps))) == in_order[::-1]
    assert in_order[: packing.steps] == names(streams(trees(100), 120, 4, 5, 0))
    assert in_order[: packing.steps] != in_order[packing.steps : 2 * packing.steps]
    assert names([Packing(trees(100), tokens=120, window=4, seed=6).at(0)]) != in_order[:1]


def test_the_order_is_shuffled_beyond_a_window():
    epoch = names(streams(trees(1000), 100, 2, seed=1, epoch=0))
    firsts = [int(name) for name in epoch[0]]
    assert max(firsts) - min(firsts) > 200


def test_a_tree_longer_than_a_stream_and_no_trees_are_refused():
    with pytest.raises(UserError, match="39 is less than the longest example, which has 40"):
        streams([Tree((), (tuple(range(40)),))], 39, 4, 0, 0)
    with pytest.raises(UserError, match="no text"):
        streams([], 39, 4, 0, 0)
    with pytest.raises(UserError, match="no examples"):
        batches([], 4, 0, 0)


@pytest.mark.parametrize("length", [5, 6, 9, 10, 11, 99])
def test_pieces_train_each_token_once(length):
    document = Tree((), (tuple(range(length)),), writers=((0,) + (1,) * (length - 1),), id="doc")
    pieces = cut(document, 5)
    assert all(piece.length <= 5 and not piece.prompt for piece in pieces)
    predicted = [token for piece in pieces for token in piece.responses[0][1:]]
    assert predicted == list(range(1, length))
    assert [piece.finished for piece in pieces] == [(False,)] * (len(pieces) - 1) + [(True,)]
    assert len({piece.id for piece in pieces}) == len(pieces)
    assert [w for piece in pieces for w in piece.writers[0][1:]] == [1] * (length - 1) and pieces[0].writers[0][0] == 0


def test_only_a_document_is_cut():
    with pytest.raises(ValueError, match="only a document"):
        cut(Tree((1, 2), ((3, 4),)), 3)
    short = Tree((1, 2), ((3, 4),))
    assert cut(short, 4) == [short]


def test_an_unfinished_document_has_no_finished_piece():
    assert not any(piece.finished[0] for piece in cut(Tree((), (tuple(range(12)),), finished=(False,)), 5))


@pytest.mark.parametrize("size", [1, 3, 10, 23])
def test_batches_go_through_each_epoch_once(size):
    given = trees(10)
    seen = [tree.id for step in range(30) for tree in batches(given, size, 4, step)]
    epochs = [seen[at : at + 10] for at in range(0, len(seen) - 9, 10)]
    assert all(sorted(epoch, key=int) == [str(n) for n in range(10)] for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == len(epochs)
    assert [tree.id for tree in batches(given, size, 4, 29)] == seen[-size:]


def test_steps_of_rows_end_with_their_epoch_and_need_no_replay() -> None:
    rows = Rows(tuple((n, n + 100) for n in range(10)), batch=4, seed=3)
    assert rows.steps == 3
    told = [rows.at(step) for step in range(6)]
    assert [len(step) for step in told] == [8, 8, 4, 8, 8, 4], "a row's examples stay together, and the last step has what is left"
    for epoch in (told[:3], told[3:]):
        assert sorted(n for step in epoch for n in step) == sorted([*range(10), *range(100, 110)])
    assert told[:3] != told[3:] and Rows(rows.rows, 4, 3).at(4) == told[4] and Rows(rows.rows, 4, 4).at(0) != told[0]
