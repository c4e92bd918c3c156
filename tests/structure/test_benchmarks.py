"""Both sides of a comparison read what was meant: a text has one token for each of its words, and nothing is cut out of them."""

import pytest

from benchmarks.peers import shapes


@pytest.mark.parametrize("words", [shapes.tokenizer(), shapes.endless("11m")])
def test_a_text_is_read_as_the_ids_it_was_made_of(words):
    ids = list(range(shapes.FIRST, shapes.VOCABULARY))
    assert words(shapes.text(ids))["input_ids"] == ids


def test_what_ends_a_text_is_out_of_a_models_reach():
    words = shapes.endless("11m")
    assert min(words.eos_token_id, words.pad_token_id) >= shapes.config("11m").vocab_size


def test_parameters_are_counted_where_query_heads_share_a_key_head():
    config = shapes.config("0.6b")
    norms = (2 * config.num_hidden_layers + 1) * config.hidden_size
    assert shapes.body("0.6b") + shapes.head("0.6b") + norms == 596_042_752
