"""Tokenizers of SentencePiece's kind in llama.cpp: tokens, scores, kinds, bytes, the space before a text; each compared with what
transformers reads, by llama.cpp itself where llama-cpp-python is installed, and refused by a sentence where it can't be the same."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from tests import families
from tests.models.llama_cpp import TEXTS, greedy_in_both, running
from tutelage.core.errors import UserError
from tutelage.models import create, weights
from tutelage.models.llamacpp import pieces

library = pytest.importorskip("gguf", reason="llama.cpp's writer is not installed (pip install 'tutelage[gguf]')")

from tutelage.models.llamacpp import write  # noqa: E402  (needs the library)

SPACE = "▁"
BEFORE = {
    "mistral": (normalizers.Sequence([normalizers.Prepend(SPACE), normalizers.Replace(" ", SPACE)]), None),
    "llama": (None, pre_tokenizers.Metaspace(SPACE, prepend_scheme="first", split=False)),
    "always": (None, pre_tokenizers.Metaspace(SPACE, prepend_scheme="always", split=False)),
    "never": (None, pre_tokenizers.Metaspace(SPACE, prepend_scheme="never", split=False)),
    "gemma": (normalizers.Replace(" ", SPACE), pre_tokenizers.Split(" ", "merged_with_previous")),
}
"""What is done to a text before its pieces are merged: Mistral's tokenizer.json, transformers' LlamaTokenizer (new, `legacy`, without a
space before), GemmaTokenizer."""
ENGLISH = (Path(__file__).resolve().parents[2] / "LICENSE").read_text().splitlines()
TEMPLATE = "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}{{ eos_token }}{% endfor %}"


def learnt(pieces: int) -> list[str]:
    """Tokens as SentencePiece would list them, letters last."""
    inner = Tokenizer(models.BPE())
    inner.normalizer, inner.pre_tokenizer = BEFORE["mistral"][0], pre_tokenizers.Split(Regex(f"{SPACE}+[^{SPACE}]*"), "isolated")
    inner.train_from_iterator([*TEXTS, *ENGLISH], trainers.BpeTrainer(vocab_size=pieces, min_frequency=2, show_progress=False))
    vocab = inner.get_vocab()
    return sorted((word for word in vocab if "<|" not in word), key=lambda word: (len(word) == 1, vocab[word]))


def converted(words: list[str], runs: list[str]) -> list[tuple[str, str]]:
    """The list of merges as transformers makes it from SentencePiece's scores (its `generate_merges`): every way to every token, the
    tokens in their order; runs of spaces, which have the best score and share it, by the longer left part, then the longer right."""
    known = {word: row for row, word in enumerate([*runs, *words])}
    halves = {word: [(word[:cut], word[cut:]) for cut in range(1, len(word))] for word in known}
    ways = {word: sorted((two for two in halves[word] if known.keys() >= set(two)), key=lambda two: known[two[0]]) for word in known}
    shared = sorted((two for run in runs for two in ways[run]), key=lambda two: (len(two[0]), len(two[1])), reverse=True)
    return [*shared, *(two for word in words for two in ways[word])]


def made(style: str, template: str | None = None) -> PreTrainedTokenizerFast:
    """A tokenizer of this style."""
    runs = [SPACE * n for n in range(2, 9)] if style == "gemma" else []
    words = [word for word in learnt(600) if not (runs and SPACE * 2 in word)]
    special = ["<unk>", "<s>", "</s>"]
    lines = ["\n\n", "\n\n\n"] if style == "gemma" else []
    listed = list(dict.fromkeys([*special, *pieces.BYTES, *lines, *runs, *words]))
    vocab = {word: row for row, word in enumerate(listed)}
    inner = Tokenizer(models.BPE(vocab, converted(words, runs), unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    normalizer, cut = BEFORE[style]
    if normalizer:
        inner.normalizer = normalizer
    if cut:
        inner.pre_tokenizer = cut
    strip = [] if style in ("gemma", "never") else [decoders.Strip(" ", 1, 0)]
    inner.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *strip])
    inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    inner.add_special_tokens(special)
    inner.add_tokens([AddedToken(word, normalized=False) for word in [*lines, *runs]])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    tokenizer.chat_template = template
    return tokenizer


def written(folder: Path, tokenizer: Any) -> tuple[str, ...]:
    """A small model with this tokenizer, in transformers' folder and as x.gguf in it; what was said."""
    size = create.Dimensions(width=32, layers=1, heads=2, ffn=64, context=256, spread=0.3)
    weights.save(create.new(size, tokenizer, 1), tokenizer, folder)
    return write.gguf(folder, folder / "x.gguf", "f32")


def same_tokens(folder: Path, texts: list[str]) -> None:
    tokenizer, engine = AutoTokenizer.from_pretrained(folder), running(folder / "x.gguf")
    for text in texts:
        assert engine.tokenize(text.encode(), add_bos=True, special=True) == tokenizer(text).input_ids, text


MORE = [*TEXTS, "<s>again</s> and <s> so", "a" + " " * 7 + "b", " " * 30, "a\n\n\n\n b", "trailing  ", "naïve Ω 日本"]


@pytest.mark.parametrize("style", ["mistral", "gemma", "never"])
def test_tokens_are_the_same(tmp_path, style):
    assert written(tmp_path / "m", made(style)) == ()
    same_tokens(tmp_path / "m", [*MORE, *ENGLISH, *([] if style == "gemma" else [f"{SPACE} marks {SPACE * 2}"])])


@pytest.mark.parametrize("style", ["mistral", "gemma", "llama"])
def test_greedy_text_is_the_same(tmp_path, style):
    written(tmp_path / "m", made(style))
    greedy_in_both(tmp_path / "m", tmp_path / "m" / "x.gguf", ["Once upon a time", "The fox", "naïve Ω"], 30, least=1)


def test_a_space_before_plain_texts_alone_is_said(tmp_path):
    """transformers' LlamaTokenizer: no two texts that llama.cpp reads otherwise go unsaid."""
    (said,) = written(tmp_path / "plain", made("llama"))
    assert "a space also before a text that begins with one, and after special tokens" in said
    plain = [text for text in MORE if not text.startswith((" ", SPACE, "<")) and "<s>" not in text]
    same_tokens(tmp_path / "plain", plain)
    (said,) = written(tmp_path / "always", made("always"))
    assert "begins with one; this tokenizer doesn't" in said
    same_tokens(tmp_path / "always", [*plain, "<s>again</s>and"])


def test_chats_are_right_where_there_is_a_template(tmp_path):
    (said,) = written(tmp_path / "m", made("llama", TEMPLATE))
    assert "right for chats" in said
    tokenizer, engine = AutoTokenizer.from_pretrained(tmp_path / "m"), running(tmp_path / "m" / "x.gguf")
    chat = [{"role": "user", "content": "Why is  it so?"}, {"role": "assistant", "content": "Ω No."}, {"role": "user", "content": " so"}]
    text = tokenizer.apply_chat_template(chat, tokenize=False)
    assert engine.tokenize(text.encode(), add_bos=False, special=True) == tokenizer(text, add_special_tokens=False).input_ids
    assert engine.tokenize(b" Once", add_bos=True, special=True) == tokenizer("Once").input_ids


def test_a_chat_template_that_begins_with_words_is_written_as_plain(tmp_path):
    (said,) = written(tmp_path / "m", made("llama", "{{ messages[0].content }}"))
    assert "after special tokens" in said


@pytest.mark.parametrize("name", sorted(families.FAMILIES))
def test_published_families(tmp_path, monkeypatch, name):
    """Every family of the suite: written and the same, or refused by its name. They get a pair to merge, without which llama.cpp reads no
    vocabulary of bytes."""
    plain = families.vocabulary
    monkeypatch.setattr(families, "vocabulary", lambda family: {**plain(family), "he": len(plain(family))})
    families.save(name, tmp_path / "m", torch.float32)
    page = json.loads((tmp_path / "m" / "tokenizer.json").read_text())
    page["model"]["merges"] = [["h", "e"]]
    (tmp_path / "m" / "tokenizer.json").write_text(json.dumps(page))
    if name in ("olmo2", "smollm3"):
        with pytest.raises(UserError, match=f"the family {name} can't be written for llama.cpp here"):
            write.gguf(tmp_path / "m", tmp_path / "m" / "x.gguf", "f32")
        return
    write.gguf(tmp_path / "m", tmp_path / "m" / "x.gguf", "f32")
    same_tokens(tmp_path / "m", MORE)
    greedy_in_both(tmp_path / "m", tmp_path / "m" / "x.gguf", ["Once upon a time", "The fox"], 24, least=0)


def test_a_real_model_of_this_kind(tmp_path):
    folder = Path(__file__).resolve().parents[2].parent / "shared" / "models" / "stories-260k"
    if not folder.is_dir():
        pytest.skip("no real model beside the repository (../shared/models/stories-260k)")
    write.gguf(folder, tmp_path / "x.gguf", "f32")
    greedy_in_both(folder, tmp_path / "x.gguf", ["Once upon a time", "One day, Lily", "The big dog"], 80)
    tokenizer, engine = AutoTokenizer.from_pretrained(folder), running(tmp_path / "x.gguf")
    for text in MORE:
        assert engine.tokenize(text.encode(), add_bos=True, special=True) == tokenizer(text).input_ids, text


def test_scores_and_kinds_in_the_file(tmp_path):
    """Read back by llama.cpp's own reader, so that it is held where llama.cpp isn't."""
    tokenizer = made("gemma")
    written(tmp_path / "m", tokenizer)
    reader = library.GGUFReader(tmp_path / "m" / "x.gguf")

    def field(name):
        found = reader.get_field(f"tokenizer.ggml.{name}")
        assert found is not None, name
        return found.contents()

    tokens, kinds, scores = field("tokens"), field("token_type"), field("scores")
    assert (field("model"), field("pre"), field("add_space_prefix")) == ("llama", "default", False)
    assert (field("add_bos_token"), field("add_eos_token"), field("unknown_token_id")) == (True, False, 0)
    kind = dict(zip(tokens, kinds))
    assert (kind["<unk>"], kind["<s>"], kind["<0x41>"], kind["  "], kind["\n\n"], kind["tion"]) == (2, 3, 6, 4, 4, 1)
    assert sum(k == 6 for k in kinds) == 256 and SPACE * 2 not in tokens
    order = [left + right for left, right in converted([w for w in learnt(600) if SPACE * 2 not in w], [])]
    ranked = [scores[tokens.index(word)] for word in dict.fromkeys(order)]
    assert ranked == sorted(ranked, reverse=True) and len(set(ranked)) == len(ranked) > 50


def test_scores_the_wrong_way_are_heard(tmp_path, monkeypatch):
    """The comparison above would see it: a planted fault."""
    right = pieces.scored
    monkeypatch.setattr(pieces, "scored", lambda *given: {token: -score for token, score in right(*given).items()})
    pytest.importorskip("llama_cpp", reason="llama.cpp is not here (pip install llama-cpp-python)")
    with pytest.raises(AssertionError):
        test_tokens_are_the_same(tmp_path, "mistral")


def test_a_space_too_many_is_heard(tmp_path, monkeypatch):
    from tutelage.models.llamacpp import vocabulary

    pytest.importorskip("llama_cpp", reason="llama.cpp is not here (pip install llama-cpp-python)")
    monkeypatch.setattr(vocabulary, "prefix", lambda *given: (True, ()))
    with pytest.raises(AssertionError):
        test_tokens_are_the_same(tmp_path, "gemma")


def drop_byte(page):
    page["model"]["vocab"]["<0xQQ>"] = page["model"]["vocab"].pop("<0x7F>")


def drop_merge(page):
    page["model"]["merges"] = [pair for pair in page["model"]["merges"] if "".join(pair) != "tion"]


def swap_merges(page):
    merges = page["model"]["merges"]
    merges.append(merges.pop(next(n for n, (one, two) in enumerate(itertools.pairwise(merges)) if "".join(one) == "".join(two))))


def normalized(page):
    page["added_tokens"][1]["normalized"] = True


def lowercase(page):
    page["normalizer"] = {"type": "Lowercase"}


def whole(page):
    page["model"]["ignore_merges"] = True


def split(page):
    page["normalizer"], page["pre_tokenizer"] = None, {"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "first", "split": True}


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        (drop_byte, "has no token <0x7F>, without which llama.cpp fails"),
        (drop_merge, "never merges '.+' and '.+', which llama.cpp would, since 'tion' is a token"),
        (swap_merges, "llama.cpp knows one rank for a token"),
        (normalized, "'<s>' is looked for after spaces were replaced"),
        (lowercase, r"changes or cuts texts \(Lowercase; none\)"),
        (whole, "takes whole words without merging"),
        (split, r"changes or cuts texts \(none; Metaspace\)"),
    ],
)
def test_what_would_be_read_otherwise_is_refused(tmp_path, fault, sentence):
    written(tmp_path / "m", made("mistral"))
    page = json.loads((tmp_path / "m" / "tokenizer.json").read_text())
    fault(page)
    (tmp_path / "m" / "tokenizer.json").write_text(json.dumps(page))
    with pytest.raises(UserError, match=sentence):
        write.gguf(tmp_path / "m", tmp_path / "y.gguf", "f16")
    assert not (tmp_path / "y.gguf").exists()


def test_what_tokenizers_trained_itself_is_refused(tmp_path):
    """Its list has the one way that it learnt to each token, llama.cpp takes any."""
    inner = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True))
    inner.normalizer = normalizers.Replace(" ", SPACE)
    special = ["<unk>", "<s>", "</s>", *pieces.BYTES]
    inner.pre_tokenizer = pre_tokenizers.Split(SPACE, "merged_with_next")
    inner.train_from_iterator(ENGLISH, trainers.BpeTrainer(vocab_size=900, special_tokens=special, show_progress=False))
    inner.pre_tokenizer = None
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    with pytest.raises(UserError, match=r"which llama\.cpp would, since|one rank for a token"):
        written(tmp_path / "m", tokenizer)


def test_spaces_that_are_not_merged_first_are_refused(tmp_path):
    tokenizer = made("gemma")
    written(tmp_path / "m", tokenizer)
    page = json.loads((tmp_path / "m" / "tokenizer.json").read_text())
    page["model"]["merges"] = page["model"]["merges"][::-1]
    with pytest.raises(UserError, match="doesn't merge its tokens of several spaces first"):
        pieces.pieces(page, 2000, tmp_path)
