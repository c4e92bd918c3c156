"""What a step holds: never a number for every word of every token, and memory that grows no faster than the stream."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import LlamaConfig, LlamaForCausalLM

from tutelage.core.randomness import stream
from tutelage.data.batch import pack
from tutelage.data.tree import Tree
from tutelage.models import heads, likelihood
from tutelage.models.policy import Policy
from tutelage.models.roles import Role

WORDS, EXAMPLES, LENGTH = 4096, 30, 128
ROOT = Path(__file__).parents[2]


class Largest(TorchDispatchMode):
    """The most numbers of any tensor that is made meanwhile."""

    numbers = 0

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if isinstance(tensor, Tensor):
                self.numbers = max(self.numbers, tensor.numel())
        return made


def largest(total: Callable[[Mapping[str, Tensor]], Tensor], needs: tuple[str, ...], dtype: torch.dtype) -> int:
    """Of reading `needs` of some examples, all of whose tokens are learnt, and of the gradient."""
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1}
    network = LlamaForCausalLM(LlamaConfig(vocab_size=WORDS, max_position_embeddings=LENGTH, **sizes)).to(dtype)
    policy = Policy({"policy": Role(network, trains=True)})
    draw = stream("memory")
    batch = pack([Tree((), (tuple(int(i) for i in draw.integers(3, WORDS, LENGTH)),)) for _ in range(EXAMPLES)])
    with Largest() as seen:
        total(policy.read(batch, needs)).backward()
    return seen.numbers


@pytest.mark.parametrize("needs", [("nll",), ("logp",), ("entropy",)], ids=lambda needs: needs[0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_no_tensor_has_a_number_for_every_word_of_every_token(
    needs: tuple[str, ...], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    def total(read: Mapping[str, Tensor]) -> Tensor:
        return read[needs[0]].sum()

    assert largest(total, needs, dtype) <= likelihood.CHUNK * WORDS
    for module in (heads, likelihood):
        monkeypatch.setattr(module, "CHUNK", EXAMPLES * LENGTH)
    assert largest(total, needs, dtype) > likelihood.CHUNK * WORDS // 2  # whoever held it all would be seen


def taken(axis: str, at: int) -> int:
    """Bytes that a step of fine-tuning adds to a process, AdamW included."""
    done = subprocess.run([sys.executable, "-m", "benchmarks.growth.point", axis, str(at)], cwd=ROOT, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return json.loads(done.stdout.splitlines()[-1])["bytes"]


@pytest.mark.long
def test_memory_grows_no_faster_than_the_stream() -> None:
    """No more bytes a token in a long stream than in a short one. (Below some thousand tokens the optimizer's step is the peak, so
    differences from there tell nothing of the stream.) A number for every two tokens would make it 1.18."""
    short, long = 6144, 14336
    assert taken("stream", long) / long <= 1.05 * taken("stream", short) / short


@pytest.mark.long
def test_a_word_costs_its_own_gradient_and_one_chunk() -> None:
    width, few, many = 384, 8_192, 73_728
    a_word = (taken("vocabulary", many) - taken("vocabulary", few)) / (many - few)
    assert a_word <= 16 * width + 4 * likelihood.CHUNK  # a gradient, its addend, two moments; logits of a chunk
