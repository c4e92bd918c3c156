"""The peer's side of PPO: TRL 0.29.1, the last version with a PPO trainer (it is gone from the current one).

Four networks of one shape: the policy and the value model train, the reference and the reward model are read. In two precisions:

    bf16     trained weights in float32 under autocast, as `bf16` means in TRL's trainers; what is only read has bfloat16 weights
    narrow   all weights in bfloat16, as a checkpoint in bfloat16 is trained: faster, but small updates are lost in rounding

This trainer samples and reads values outside of autocast, so in the first those stay in float32. Under autocast as a whole it was no
faster: without gradients autocast casts every weight anew for each token.
"""

import os
import time
from collections.abc import Callable
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"

import torch
import transformers
from datasets import Dataset, disable_progress_bars
from transformers import LlamaForSequenceClassification, PreTrainedModel, TrainerCallback
from trl.experimental.ppo import PPOConfig, PPOTrainer

from benchmarks.peers import shapes

transformers.logging.set_verbosity_error()
disable_progress_bars()
torch.set_num_threads(len(os.sched_getaffinity(0)))

Once = Callable[[], tuple[float, float]]


class Clock(TrainerCallback):
    """Seconds from the beginning of training to the end of its last phase."""

    started = ended = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        shapes.finished()
        self.started = time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        shapes.finished()
        self.ended = time.perf_counter()


def ppo(size: str, samples: int, narrow: bool = False) -> Once:
    """Episodes: one phase of sampling and its epochs. A prompt that is sampled from more than once is as many rows."""
    # This trainer makes an accelerator of its own, which never hears of the setting `bf16`: what `accelerate launch` sets, it does.
    os.environ["ACCELERATE_MIXED_PRECISION"] = "no" if narrow else "bf16"
    given = shapes.prompts_with_responses(shapes.EPISODES // samples, shapes.SAMPLED, 0, 0, 0)
    data = Dataset.from_list([{"input_ids": prompt} for prompt, _ in given for _ in range(samples)])

    def once() -> tuple[float, float]:
        clock = Clock()
        trainer = PPOTrainer(
            args=arguments(), processing_class=shapes.endless(size), train_dataset=data, callbacks=[clock], **networks(size, narrow)
        )
        assert trainer.accelerator.mixed_precision == ("no" if narrow else "bf16")
        trainer.train()
        return shapes.EPISODES, clock.ended - clock.started

    return once


def networks(size: str, narrow: bool) -> dict[str, PreTrainedModel]:
    read = {"ref_model": shapes.model(size).bfloat16(), "reward_model": scorer(size).bfloat16()}
    trained = {"model": shapes.model(size), "value_model": scorer(size)}
    return {**read, **({name: network.bfloat16() for name, network in trained.items()} if narrow else trained)}


def arguments() -> PPOConfig:
    """A batch is one phase. One device batch holds it whole and nothing is accumulated, so every minibatch is an optimizer step."""
    return PPOConfig(
        output_dir="build/peers/out",
        report_to=[],
        logging_steps=1000,
        save_strategy="no",
        use_cpu=shapes.device().type == "cpu",
        disable_tqdm=True,
        gradient_checkpointing=False,
        bf16=True,
        learning_rate=1e-5,
        total_episodes=shapes.EPISODES,
        per_device_train_batch_size=shapes.EPISODES,
        num_mini_batches=shapes.MINIBATCHES,
        num_ppo_epochs=shapes.EPOCHS,
        local_rollout_forward_batch_size=shapes.EPISODES,
        response_length=shapes.SAMPLED,
        temperature=1.0,
        num_sample_generations=0,
    )


def scorer(size: str) -> LlamaForSequenceClassification:
    torch.manual_seed(1)
    return LlamaForSequenceClassification(shapes.config(size, num_labels=1))


WORKS: dict[str, Callable[[str], Once]] = {
    "ppo": lambda size: ppo(size, 1),
    "ppo, narrow": lambda size: ppo(size, 1, narrow=True),
    "ppo G=4": lambda size: ppo(size, 4),
    "ppo G=4, narrow": lambda size: ppo(size, 4, narrow=True),
}
