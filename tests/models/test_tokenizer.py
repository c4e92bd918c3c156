import subprocess
import sys

import pytest

from tutelage.core.errors import UserError
from tutelage.models.tokenizer import SPECIAL, bpe, unknown_words, words

CHAT = [{"role": "user", "content": "where is ada"}, {"role": "assistant", "content": "ada is home"}]
TEXTS = ["the cat sat on the mat", "the dog sat on the cat", "a cat and a dog"] * 3


def test_words_are_one_token_each_and_come_back():
    tokenizer = words(["ada", "is", "home", "where", "."], size=32)
    assert len(tokenizer) == tokenizer.vocab_size == 32
    ids = tokenizer("ada is  home .", add_special_tokens=False).input_ids
    assert ids == [6, 7, 8, 10]
    assert tokenizer.decode(ids) == "ada is home ."
    assert all(tokenizer.decode([row]) for row in range(32))


def test_specials_have_their_ids():
    for tokenizer in (words(["ada"], 16), bpe(TEXTS, 300)):
        assert tokenizer.convert_tokens_to_ids(list(SPECIAL)) == [0, 1, 2, 3, 4]
        assert (tokenizer.eos_token_id, tokenizer.pad_token_id) == (0, 1)


def test_unknown_words_are_seen_and_reported():
    tokenizer = words(["ada", "is"], 16)
    ids = tokenizer("ada is gone gone").input_ids
    assert ids == [6, 7, 5, 5]
    assert tokenizer.decode(ids, skip_special_tokens=True) == "ada is <|unknown|> <|unknown|>"
    assert unknown_words(tokenizer, "ada is gone gone away") == ("gone", "away")


def test_words_that_do_not_fit_are_refused():
    for vocabulary, size in ((["a"] * 2, 16), (["a b"], 16), (["<|end|>"], 16), (["a", "b"], 7)):
        with pytest.raises(UserError):
            words(vocabulary, size)


def test_chat_template_trains_the_response_and_its_end():
    tokenizer = words(["ada", "is", "home", "where"], 16)
    text = tokenizer.apply_chat_template(CHAT, tokenize=False)
    assert text == "<|user|>where is ada<|assistant|>ada is home<|end|>"
    prompt = tokenizer.apply_chat_template(CHAT[:1], tokenize=False, add_generation_prompt=True)
    assert prompt == "<|user|>where is ada<|assistant|>" and text.startswith(prompt)
    both = tokenizer.apply_chat_template(CHAT * 2, return_dict=True, return_assistant_tokens_mask=True)
    assert both["input_ids"] == [3, 9, 7, 6, 4, 6, 7, 8, 0] * 2
    assert both["assistant_masks"] == [0, 0, 0, 0, 0, 1, 1, 1, 1] * 2


def test_chat_template_refuses_a_role_it_has_no_place_for():
    with pytest.raises(Exception, match="tool"):
        words(["a"], 16).apply_chat_template([{"role": "tool", "content": "a"}], tokenize=False)


def test_bpe_encodes_any_text():
    tokenizer = bpe(TEXTS, 280)
    for text in ("the cat  sat\n", "Zoë says: 猫 🐈!", " lead", "cat ."):
        assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert len(tokenizer(" the cat").input_ids) < 8
    with pytest.raises(UserError):
        bpe(TEXTS, 200)


def test_bpe_is_the_same_in_another_process():
    code = f"from tutelage.models.tokenizer import bpe; print(bpe({TEXTS!r}, 300).backend_tokenizer.to_str())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert other.strip() == bpe(TEXTS, 300).backend_tokenizer.to_str()


def test_tokenizers_survive_the_disk(tmp_path):
    from transformers import AutoTokenizer

    for tokenizer in (words(["ada", "is"], 16), bpe(TEXTS, 300)):
        tokenizer.save_pretrained(tmp_path)
        back = AutoTokenizer.from_pretrained(tmp_path)
        assert back.get_vocab() == tokenizer.get_vocab() and back.chat_template == tokenizer.chat_template
        assert back("ada is<|end|>").input_ids == tokenizer("ada is<|end|>").input_ids
        assert (back.eos_token_id, back.pad_token_id) == (0, 1)
