"""The peer's side of GRPO: TRL's current trainer, sampling with transformers' generate, the reference in the loss (k3), one step a batch.

Precision as in trl_ppo.py: `bf16` is autocast over float32 weights, sampling included; `narrow` has all weights in bfloat16. Continuous
batching was slower on a processor when it was tried, so sampling is plain; it needs no log-probabilities of its own here, because TRL
takes the first step's policy for the one that sampled.
"""

import tempfile
from collections.abc import Callable, Sequence
from typing import Any

from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer

from benchmarks.peers import shapes
from benchmarks.peers.trl_now import PLAIN, Once, timed

STEPS = 2
"""Timed together: the clock of one alone would be short beside what others do on the machine."""


def grpo(size: str, narrow: bool = False) -> Once:
    """Completions: sampling, the reference's reading, and one optimizer step."""
    given = shapes.prompts_with_responses(STEPS * shapes.GROUPS, shapes.SAMPLED, 0, 0, 0)
    data = Dataset.from_list([{"prompt": shapes.text(prompt)} for prompt, _ in given])
    folder = saved(size)

    def once() -> tuple[float, float]:
        trainer = GRPOTrainer(
            model=folder.name,  # by name: an instance leaves the trainer nowhere to load the reference from
            reward_funcs=even,
            args=arguments(narrow),
            train_dataset=data,
            processing_class=shapes.endless(size),
        )
        return timed(trainer, STEPS * shapes.GROUPS * shapes.GROUP)

    return once


def arguments(narrow: bool) -> GRPOConfig:
    """A device batch holds a step's completions whole, so one call samples all of them and nothing is accumulated."""
    precise = {"bf16": not narrow, "model_init_kwargs": {"dtype": "bfloat16" if narrow else "float32"}}
    return GRPOConfig(
        **{**PLAIN, **precise},
        learning_rate=1e-5,
        per_device_train_batch_size=shapes.GROUPS * shapes.GROUP,
        num_generations=shapes.GROUP,
        max_completion_length=shapes.SAMPLED,
        num_iterations=1,
        beta=shapes.BETA,
        use_vllm=False,
    )


def even(completion_ids: Sequence[Sequence[int]], **_: Any) -> list[float]:
    """The share of even ids: a reward that costs nothing."""
    return [shapes.even(ids) for ids in completion_ids]


def saved(size: str) -> tempfile.TemporaryDirectory[str]:
    """The model in a folder, without a token that ends a response."""
    model = shapes.model(size)
    model.config.eos_token_id = model.generation_config.eos_token_id = None
    folder = tempfile.TemporaryDirectory()
    model.save_pretrained(folder.name)
    return folder


WORKS: dict[str, Callable[[str], Once]] = {
    "grpo": grpo,
    "grpo, narrow": lambda size: grpo(size, narrow=True),
}
