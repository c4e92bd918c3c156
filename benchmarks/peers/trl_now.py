"""The peer's side: TRL's current trainers with bf16, each step timed from the beginning of the first to the end of the last."""

import os
import time
from collections.abc import Callable
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from datasets import Dataset, disable_progress_bars
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer

from benchmarks.peers import shapes

transformers.logging.set_verbosity_error()
disable_progress_bars()
torch.set_num_threads(len(os.sched_getaffinity(0)))

Once = Callable[[], tuple[float, float]]
PLAIN: dict[str, Any] = {
    "output_dir": "build/peers/out",
    "report_to": [],
    "logging_steps": 1000,
    "save_strategy": "no",
    "use_cpu": True,
    "disable_tqdm": True,
    "gradient_checkpointing": False,
    "bf16": True,
    "num_train_epochs": 1,
    "max_length": shapes.CONTEXT,
}


class Clock(TrainerCallback):
    """Seconds of the steps alone: what a trainer does before the first and after the last is not counted."""

    started = ended = 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.started = self.started or time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.ended = time.perf_counter()


def timed(trainer: Any, amount: float) -> tuple[float, float]:
    clock = Clock()
    trainer.add_callback(clock)
    trainer.train()
    return amount, clock.ended - clock.started


def sft(size: str, **settings: Any) -> Once:
    """Tokens per second of fine-tuning; about 2,000 tokens a step, as on our side."""
    given = shapes.fine_tuning(96, 0)
    rows = [{"input_ids": p + r, "completion_mask": [0] * len(p) + [1] * len(r)} for p, r in given]
    amount = sum(len(row["input_ids"]) for row in rows)

    def once() -> tuple[float, float]:
        arguments = SFTConfig(**PLAIN, **settings)
        trainer = SFTTrainer(
            model=shapes.model(size), args=arguments, train_dataset=Dataset.from_list(rows), processing_class=shapes.tokenizer()
        )
        return timed(trainer, amount)

    return once


WORKS: dict[str, Callable[[str], Once]] = {
    "sft": lambda size: sft(size, per_device_train_batch_size=16),
    "sft packed": lambda size: sft(size, per_device_train_batch_size=4, packing=True),
}
