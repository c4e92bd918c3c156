"""The peer's side: TRL's current trainers with bf16, each step timed from the beginning of the first to the end of the last."""

import os
import time
from collections.abc import Callable
from importlib.util import find_spec
from itertools import combinations
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
import transformers
from datasets import Dataset, disable_progress_bars
from transformers import LlamaForSequenceClassification, PreTrainedModel, TrainerCallback
from trl import DPOConfig, DPOTrainer, RewardConfig, RewardTrainer, SFTConfig, SFTTrainer

from benchmarks.peers import shapes

transformers.logging.set_verbosity_error()
disable_progress_bars()
torch.set_num_threads(len(os.sched_getaffinity(0)))

Once = Callable[[], tuple[float, float]]
ON_GPU = shapes.device().type == "cuda"
FLASH = ON_GPU and find_spec("flash_attn") is not None
"""On a GPU with flash-attn, packed rows don't see each other, and none is padded."""
PLAIN: dict[str, Any] = {
    "output_dir": "build/peers/out",
    "report_to": [],
    "logging_steps": 1000,
    "save_strategy": "no",
    "use_cpu": not ON_GPU,
    "use_liger_kernel": ON_GPU and find_spec("liger_kernel") is not None,
    "disable_tqdm": True,
    "gradient_checkpointing": False,
    "bf16": True,
    "num_train_epochs": 1,
}
TEXTS: dict[str, Any] = {**PLAIN, "max_length": shapes.CONTEXT}


class Clock(TrainerCallback):
    """Seconds of the steps alone: what a trainer does before the first and after the last is not counted."""

    started = ended = 0.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        shapes.finished()
        self.started = self.started or time.perf_counter()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        shapes.finished()
        self.ended = time.perf_counter()


def attending(model: PreTrainedModel) -> PreTrainedModel:
    """With the fastest attention there is; on a processor as it comes."""
    if FLASH:
        model.set_attn_implementation("flash_attention_2")
    return model


def peer(size: str, attention: str = "") -> PreTrainedModel:
    model = attending(shapes.model(size))
    if attention:
        model.set_attn_implementation(attention)
    return model


def timed(trainer: Any, amount: float) -> tuple[float, float]:
    clock = Clock()
    trainer.add_callback(clock)
    trainer.train()
    return amount, clock.ended - clock.started


def sft(size: str, attention: str = "", **settings: Any) -> Once:
    """Tokens per second of fine-tuning; about 2,000 tokens a step, as on our side. `attention`: of transformers', where not the usual."""
    given = shapes.fine_tuning(shapes.SFT_ROWS, 0)
    rows = [{"input_ids": p + r, "completion_mask": [0] * len(p) + [1] * len(r)} for p, r in given]
    amount = sum(len(row["input_ids"]) for row in rows)

    def once() -> tuple[float, float]:
        arguments = SFTConfig(**TEXTS, **settings)
        trainer = SFTTrainer(
            model=peer(size, attention), args=arguments, train_dataset=Dataset.from_list(rows), processing_class=shapes.tokenizer()
        )
        return timed(trainer, amount)

    return once


def lora(size: str) -> Once:
    """Tokens of fine-tuning by adapters on weights in bfloat16, two long documents a step."""
    from peft import LoraConfig

    rows = [{"input_ids": ids} for ids in shapes.documents()]

    def once() -> tuple[float, float]:
        arguments = SFTConfig(**PLAIN, max_length=shapes.LONG, per_device_train_batch_size=1, gradient_accumulation_steps=2)
        adapter = LoraConfig(r=shapes.RANK, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
        given = {"model": peer(size).bfloat16(), "args": arguments, "train_dataset": Dataset.from_list(rows), "peft_config": adapter}
        return timed(SFTTrainer(**given, processing_class=shapes.tokenizer()), shapes.LONG * len(rows))

    return once


def reward(size: str, k: int, count: int) -> Once:
    """Comparisons: TRL's reward trainer takes pairs, so a ranking of k is k (k - 1) / 2 of them."""
    given = shapes.prompts_with_responses(count, shapes.PROMPT, k, shapes.RESPONSE, 0)
    rows = [
        {"chosen": shapes.text([*prompt, *responses[a]]), "rejected": shapes.text([*prompt, *responses[b]])}
        for prompt, responses in given
        for a, b in combinations(range(k), 2)
    ]

    def once() -> tuple[float, float]:
        model = attending(LlamaForSequenceClassification(shapes.config(size, num_labels=1)))
        arguments = RewardConfig(**TEXTS, per_device_train_batch_size=18)
        data = Dataset.from_list(rows)
        return timed(RewardTrainer(model=model, args=arguments, train_dataset=data, processing_class=shapes.tokenizer()), len(rows))

    return once


def dpo(size: str) -> Once:
    """Pairs, read by the policy and by its reference."""
    given = shapes.prompts_with_responses(32, shapes.PROMPT, 2, shapes.RESPONSE, 0)
    rows = [{"prompt": shapes.text(p), "chosen": " " + shapes.text(a), "rejected": " " + shapes.text(b)} for p, (a, b) in given]

    def once() -> tuple[float, float]:
        arguments = DPOConfig(**TEXTS, per_device_train_batch_size=16)
        model, reference = peer(size), peer(size)
        data = Dataset.from_list(rows)
        trainer = DPOTrainer(model=model, ref_model=reference, args=arguments, train_dataset=data, processing_class=shapes.tokenizer())
        return timed(trainer, len(rows))

    return once


def sample(size: str) -> Once:
    """Tokens written by transformers' generate: eight responses to each of eight prompts, none ends early."""
    model = shapes.model(size).to(shapes.device(), torch.bfloat16).eval()
    model.generation_config.eos_token_id = None
    prompts = [prompt for prompt, _ in shapes.prompts_with_responses(8, shapes.SAMPLED, 0, 0, 0) for _ in range(8)]
    ids = torch.tensor(prompts, device=shapes.device())

    def once() -> tuple[float, float]:
        start = time.perf_counter()
        with torch.inference_mode():
            mask = torch.ones_like(ids)
            out = model.generate(ids, attention_mask=mask, do_sample=True, top_k=0, top_p=1.0, max_new_tokens=shapes.SAMPLED)
        shapes.finished()
        return (out.shape[1] - ids.shape[1]) * len(out), time.perf_counter() - start

    return once


WORKS: dict[str, Callable[[str], Once]] = {
    "sft": lambda size: sft(size, per_device_train_batch_size=16),
    "sft packed": lambda size: sft(size, per_device_train_batch_size=4, packing=True),
    "sft packed flex": lambda size: sft(size, "flex_attention", per_device_train_batch_size=4, packing=True),
    "sft lora": lora,
    "reward K=4": lambda size: reward(size, 4, 16),
    "reward K=9": lambda size: reward(size, 9, 2),
    "dpo": dpo,
    "sample": sample,
}
