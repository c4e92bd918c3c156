"""Tokenizers of our own: whole words for the synthetic world, byte-level BPE (Sennrich et al. 2016) for a user's text.

Both carry the same five special tokens at the same ids and the same chat template,

    <|user|>text<|assistant|>response<|end|>

whose response, end included, stands between generation marks: so plain transformers knows which tokens a chat trains
(`return_assistant_tokens_mask`). The pad token is not the end token: where they are one, masking the padding unteaches ending.
"""

from collections.abc import Iterable, Sequence

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tutelage.core.errors import UserError

END, PAD, SYSTEM, USER, ASSISTANT = "<|end|>", "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>"
SPECIAL = (END, PAD, SYSTEM, USER, ASSISTANT)
"""Ids 0 to 4."""
UNKNOWN = "<|unknown|>"
"""What a word tokenizer reads where it doesn't know a word; an ordinary token, so that a text which holds it shows it."""

CHAT_TEMPLATE = (
    "{%- for message in messages -%}"
    "{%- if message['role'] not in ['system', 'user', 'assistant'] -%}"
    "{{- raise_exception('no place for the role ' + message['role'] + ' in this template') -}}"
    "{%- endif -%}"
    "{{- '<|' + message['role'] + '|>' -}}"
    "{%- if message['role'] == 'assistant' -%}"
    "{%- generation -%}{{- message['content'] + '<|end|>' -}}{%- endgeneration -%}"
    "{%- else -%}{{- message['content'] -}}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)


def words(vocabulary: Sequence[str], size: int = 1024) -> PreTrainedTokenizerFast:
    """One token per whitespace-separated word; decoding joins them by single spaces.

    Ids follow the order of `vocabulary`, after the specials and `<|unknown|>`; what is left of `size` rows is filled with
    `<|spare-N|>`, so that every id below `size` decodes. Raises UserError when the words don't fit, repeat, or hold whitespace.
    """
    known = [*SPECIAL, UNKNOWN, *vocabulary]
    broken = next((word for word in vocabulary if len(word.split()) != 1 or known.count(word) > 1), None)
    if broken is not None:
        raise UserError(f"vocabulary: {broken!r} must be one word without whitespace, and stand there once")
    if len(known) > size:
        raise UserError(f"vocabulary: {len(vocabulary)} words and {len(known) - len(vocabulary)} special tokens don't fit {size} rows")
    known += [f"<|spare-{row}|>" for row in range(len(known), size)]
    tokenizer = Tokenizer(models.WordLevel({word: row for row, word in enumerate(known)}, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return _dressed(tokenizer)


def unknown_words(tokenizer: PreTrainedTokenizerFast, text: str) -> tuple[str, ...]:
    """The words of `text` that a tokenizer made by `words` reads as `<|unknown|>`, each once, in order."""
    known = tokenizer.get_vocab()
    return tuple(dict.fromkeys(word for word in text.split() if word not in known))


def bpe(texts: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE trained on `texts`: any text encodes, and decodes to itself. The same texts give the same tokenizer.

    `size` counts all rows, at least 261 (five specials, 256 bytes); a small corpus may give fewer.
    """
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    if size < len(SPECIAL) + len(alphabet):
        raise UserError(f"vocabulary: a byte-level tokenizer needs at least {len(SPECIAL) + len(alphabet)} rows, not {size}")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(SPECIAL), initial_alphabet=sorted(alphabet), show_progress=False, min_frequency=2
    )
    tokenizer.train_from_iterator(texts, trainer)
    return _dressed(tokenizer)


def _dressed(tokenizer: Tokenizer) -> PreTrainedTokenizerFast:
    tokenizer.add_special_tokens(list(SPECIAL))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=PAD,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )
