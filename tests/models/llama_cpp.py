"""llama.cpp itself, where llama-cpp-python is installed: texts that are hard to cut, and greedy text beside transformers'."""

import itertools
from pathlib import Path

import pytest
import torch

from tests.recipes import small_run
from tutelage.models import weights

TEXTS = [
    *small_run.TEXTS, "", " ", "  leading", "a\n\n\nb", "\r\nwin\r\n", "it's IT'S we'LL don'T", "１２３ ½ ① 1234567", "<|user|>hi<|end|>",
    "\u00a0nbsp", "🏳️‍🌈 👩‍👩‍👧", "x" * 60, "a_b-c/d.e\\f", "Привет, мир", "tab\tand  two",
]  # fmt: skip


def running(path, **more):
    """llama.cpp with a model, its cache in float32."""
    llama = pytest.importorskip("llama_cpp", reason="llama.cpp is not here (pip install llama-cpp-python)")
    return llama.Llama(str(path), n_ctx=256, n_threads=1, verbose=False, **more)


def greedy_in_both(folder: Path, path: Path, prompts: list[str], length: int, least: int = 10) -> None:
    """Equal tokens of the prompt, of the greedy answer, and equal text, of at least `least` letters. Bytes that are no letter are said
    otherwise by each, so a text that has some is compared by its tokens alone."""
    network, tokenizer = weights.load(folder, torch.float32)
    engine = running(path, type_k=0, type_v=0)
    for prompt in prompts:
        ids = tokenizer(prompt, return_tensors="pt").input_ids
        assert engine.tokenize(prompt.encode(), add_bos=True, special=True) == ids[0].tolist(), prompt
        whole = network.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=length, do_sample=False)[0]
        before, after = (tokenizer.decode(part, skip_special_tokens=True) for part in (ids[0], whole))
        found = itertools.takewhile(
            lambda token: token != network.config.eos_token_id, engine.generate(ids[0].tolist(), temp=0.0, repeat_penalty=1.0)
        )
        told = list(itertools.islice(found, length))
        assert told == whole[ids.shape[1] :].tolist()[: len(told)] and len(told) >= min(length, len(whole) - ids.shape[1] - 1), prompt
        answer = engine(prompt, max_tokens=length, temperature=0.0, repeat_penalty=1.0)["choices"][0]["text"]
        assert "\ufffd" in after or (answer == after.removeprefix(before) and len(answer) >= least), (prompt, after, answer)
