"""Small tokenizers of several kinds, each with the special tokens <end>, <pad> and whatever more is asked for."""

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

TEXTS = [
    "hello there, who lives in the red house ?",
    "Anna lives there. She has two cats and a dog.",
    "no I don't know that; ask somebody else !",
    "Assistant: user: system: thinking done answer",
]
WORDS = sorted({word for text in TEXTS for word in text.split()})


def dressed(tokenizer, template=None, pad="<pad>", end="<end>", bos=None, more=()):
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=end,
        pad_token=pad,
        bos_token=bos,
        chat_template=template,
        additional_special_tokens=list(more),
    )


def word_level(template=None, **settings):
    """One token per word, split at whitespace; newlines are lost."""
    more = list(settings.get("more", ()))
    vocabulary = {word: n for n, word in enumerate(["<end>", "<pad>", "<s>", "<unk>", *more, "<|user|>", "<|assistant|>", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return dressed(tokenizer, template, **settings)


def byte_level(template=None, adds_bos=False, **settings):
    """Byte-level BPE, lossless."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<end>", "<pad>", "<s>", *settings.get("more", ())]
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(TEXTS, trainer)
    if adds_bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))])
        settings["bos"] = "<s>"
    return dressed(tokenizer, template, **settings)


def merging(template=None, **settings):
    """BPE over the whole text, whitespace too: a response's first letter may melt into the prompt's last token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.decoder = decoders.Fuse()
    alphabet = sorted({letter for text in TEXTS for letter in text} | set("\n<|>:"))
    trainer = trainers.BpeTrainer(vocab_size=120, special_tokens=["<end>", "<pad>", "<s>"], initial_alphabet=alphabet)
    tokenizer.train_from_iterator(["> hello > hello : hello : hello"] * 4, trainer)
    return dressed(tokenizer, template, **settings)


def metaspace(template=None, **settings):
    """SentencePiece's way: every piece of text begins with a mark for the space before it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="never", split=False)
    trainer = trainers.BpeTrainer(vocab_size=150, special_tokens=["<end>", "<pad>", "<s>"], initial_alphabet=list("▁:<|>\n"))
    tokenizer.train_from_iterator([*TEXTS, *["user:hello Assistant:hello"] * 9], trainer)
    return dressed(tokenizer, template, **settings)


def chat(user="<|user|>{}", assistant="<|assistant|>{}<end>", mark="<|assistant|>", begin="", generation=False):
    """A template from the forms of its turns; `{}` stands for the content expression."""

    def form(pattern, marked=False):
        before, after = pattern.split("{}")
        expression = "m['content'] | trim" if "!" in after else "m['content']"
        after = after.replace("!", "")
        inner = "{{ " + expression + " }}" + after
        return before + ("{% generation %}" + inner + "{% endgeneration %}" if marked else inner)

    return (
        begin
        + "{% for m in messages %}{% if m['role'] == 'assistant' %}"
        + form(assistant, generation)
        + "{% else %}"
        + form(user)
        + "{% endif %}{% endfor %}{% if add_generation_prompt %}"
        + mark
        + "{% endif %}"
    )
