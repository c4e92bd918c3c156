"""What is measured at each point: a training step, or sampling, made larger in one respect and equal in all others."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from transformers import LlamaForCausalLM

from benchmarks.peers import shapes
from benchmarks.peers.ours import precision, threads
from tutelage.data.tree import Tree
from tutelage.engine.engine import Engine
from tutelage.models.heads import ScalarHead
from tutelage.models.policy import Policy
from tutelage.models.precision import narrow
from tutelage.models.roles import Role, width
from tutelage.models.sampler import Sampler, Sampling
from tutelage.objectives.objective import Objective
from tutelage.objectives.reward import Reward
from tutelage.objectives.sft import SFT

EXAMPLE, STREAM = 128, 2048
"""Tokens of an example of fine-tuning, and of the stream where something else grows."""
RANKED, RESPONSES = 2, 4
"""Prompts of a step of reward modelling, and the responses to each where something else grows."""
HEAD = 64
"""Width of an attention head, in all models."""
WHOLE = 1_000_000
"""Tokens of a micro-batch: a step is one pass, so that its memory is that of all of it."""


@dataclass(frozen=True)
class Point:
    at: float
    """What grew, as it is plotted."""
    once: Callable[[], object]


@dataclass(frozen=True)
class Axis:
    grows: str
    cost: str
    """What is done at each point."""
    values: tuple[int, ...]
    point: Callable[[int], Point]


def stream(tokens: int) -> Point:
    return Point(tokens, step(network(), SFT(), examples(tokens)))


def vocabulary(words: int) -> Point:
    return Point(words, step(network(vocabulary=words), SFT(), examples(STREAM)))


def model(width: int) -> Point:
    """A layer for every 64 of width."""
    made = network(width, width // 64)
    return Point(sum(p.numel() for p in made.parameters()), step(made, SFT(), examples(STREAM)))


def prompt(tokens: int) -> Point:
    return Point(tokens, ranking(tokens, RESPONSES))


def responses(k: int) -> Point:
    return Point(k, ranking(shapes.PROMPT, k))


def samples(group: int) -> Point:
    """Eight prompts."""
    made = network().requires_grad_(False)
    sampler = Sampler(narrow(made) if precision() == "bf16" else made, end=-1)
    given = shapes.prompts_with_responses(8, shapes.SAMPLED, 0, 0, 0)
    prompts = [prompt for prompt, _ in given for _ in range(group)]
    addresses, sampling = [("sample", n) for n in range(len(prompts))], Sampling(max_tokens=shapes.SAMPLED)
    return Point(group, lambda: sampler.generate(prompts, addresses, sampling))


def network(width: int = 384, layers: int = 6, vocabulary: int = shapes.VOCABULARY) -> LlamaForCausalLM:
    """The 11m model where nothing else is said."""
    threads()
    torch.manual_seed(0)
    config = shapes.config("11m")
    config.vocab_size, config.hidden_size, config.num_hidden_layers = vocabulary, width, layers
    config.intermediate_size = width * 8 // 3
    config.num_attention_heads = config.num_key_value_heads = width // HEAD
    return LlamaForCausalLM(config).eval()


def examples(tokens: int) -> list[Tree]:
    given = shapes.prompts_with_responses(tokens // EXAMPLE, EXAMPLE // 3, 1, EXAMPLE - EXAMPLE // 3, 0)
    return [Tree(tuple(prompt), (tuple(only),)) for prompt, (only,) in given]


def ranking(tokens: int, k: int) -> Callable[[], object]:
    """A step of reward modelling on all pairs of `k` responses to prompts of `tokens`."""
    pairs = tuple((a, b, 2 / (k * (k - 1)), 0.0, 1.0) for a, b in combinations(range(k), 2))
    given = shapes.prompts_with_responses(RANKED, tokens, k, shapes.RESPONSE, 0)
    trees = [Tree(tuple(prompt), tuple(map(tuple, own)), columns={"preferences": pairs}) for prompt, own in given]
    return step(network(), Reward(), trees, scores=True)


def step(network: LlamaForCausalLM, objective: Objective, trees: Sequence[Tree], scores: bool = False) -> Callable[[], object]:
    role = Role(network, None, ScalarHead(width(network)) if scores else None, trains=True)
    engine = Engine(Policy({"policy": role}, shapes.tokenizer(), precision()), objective, micro_tokens=WHOLE)
    return lambda: engine.step(trees, 0, 1)


TUNING = f"a step of fine-tuning on {STREAM:,} tokens"
AXES = {
    "stream": Axis("tokens of the stream", f"a step of fine-tuning, examples of {EXAMPLE} tokens", (512, 1024, 2048, 4096, 8192), stream),
    "prompt": Axis(
        "tokens of the prompt",
        f"a step of reward modelling, {RANKED} prompts with {RESPONSES} responses of {shapes.RESPONSE} tokens",
        (128, 256, 512, 1024, 2048),
        prompt,
    ),
    "k": Axis(
        "responses to a prompt (K)",
        f"a step of reward modelling on all pairs, {RANKED} prompts of {shapes.PROMPT} tokens, responses of {shapes.RESPONSE}",
        (2, 4, 8, 16, 32),
        responses,
    ),
    "g": Axis(
        "samples of a prompt (G)",
        f"sampling from 8 prompts of {shapes.SAMPLED} tokens, {shapes.SAMPLED} each",
        (1, 2, 4, 8, 16, 32),
        samples,
    ),
    "vocabulary": Axis("words of the vocabulary", TUNING, (8192, 16384, 32768, 65536, 131072), vocabulary),
    "model": Axis("parameters", TUNING, (192, 384, 576, 768), model),
}
