"""How fast and how much: the settings that all three peers take from transformers' `TrainingArguments`, some under names of their own.

A step of theirs is micro batch x accumulation x GPUs rows (or, packed, that many full sequences); ours is said whole, and how it is cut
into micro-batches and shared among processes changes no gradient. Their schedulers are transformers', so `rates.counted` says to give
each step the rate that transformers gives it.
"""

from dataclasses import dataclass

from tutelage.recipes.moving.account import Account

SCHEDULES = {
    "cosine": ("cosine", 0.0, ""),
    "linear": ("linear", 0.0, ""),
    "constant": ("constant", None, ""),
    "constant_with_warmup": ("constant", None, ""),
    "cosine_with_restarts": ("cosine", 0.0, "schedule cosine: with one cycle, their default, it is the same"),
    "cosine_with_min_lr": ("cosine", None, ""),
}
"""Theirs -> ours, the share of the peak that is left at the end, and what is to be said."""
SAME_ADAMW = ("adamw_torch", "adamw_torch_fused", "adamw_hf", "adamw_apex_fused", "adamw_torch_xla", "adamw_torch_npu_fused")
ROUNDED_ADAMW = (
    "adamw_bnb_8bit",
    "adamw_8bit",
    "paged_adamw_8bit",
    "paged_adamw",
    "paged_adamw_32bit",
    "adamw_torch_8bit",
    "adamw_torch_4bit",
    "ao_adamw_4bit",
    "ao_adamw_8bit",
    "ao_adamw_fp8",
    "flash_adamw",
    "optimi_adamw",
    "adamw_anyprecision",
)


@dataclass(frozen=True)
class Names:
    """What a peer calls things."""

    epochs: str = "num_train_epochs"
    micro: str = "per_device_train_batch_size"
    schedule: str = "lr_scheduler_type"
    schedule_more: str = "lr_scheduler_kwargs"
    least: str = ""
    """A floor of the rate as a share of the peak, where the peer has a key of its own for it."""
    optimizer: str = "optim"
    length: str = "max_length"
    rank: str = "lora_r"
    alpha: str = "lora_alpha"
    held_out: str = ""


def rates(account: Account, names: Names) -> None:
    """Learning rate, schedule, warm-up, AdamW, clipping."""
    rate = account.number("learning_rate")
    if rate is None:
        raise account.fault("learning_rate", "this file sets no learning rate, and there is no default for it")
    account.carry("learning_rate", "rates.learning_rate", float(rate))
    kind = _schedule(account, names)
    _warmup(account, kind == "constant")
    account.put("rates.counted", "transformers", "as transformers' schedulers count, which they use")
    optimizer(account, names)
    account.carry("weight_decay", "rates.weight_decay", float(account.number("weight_decay") or 0.0))
    for key, path in (("adam_beta1", "beta1"), ("adam_beta2", "beta2"), ("adam_epsilon", "epsilon")):
        account.carry(key, f"rates.{path}", account.number(key))
    clip = account.number("max_grad_norm")
    account.carry("max_grad_norm", "rates.clip", float(clip) if clip else 1e9, "" if clip else "rates.clip: 1e9, which no gradient reaches")


def _schedule(account: Account, names: Names) -> str:
    given = str(account.value(names.schedule))
    if given not in SCHEDULES:
        known = ", ".join(SCHEDULES)
        account.lost(names.schedule, f"there is no schedule {given} (there are {known}); a cosine is written instead")
    schedule, final, said = SCHEDULES.get(given, ("cosine", 0.0, ""))
    if given in SCHEDULES:
        account.carry(names.schedule, "rates.schedule", schedule, said)
    else:
        account.put("rates.schedule", schedule, f"instead of {given}")
    if schedule == "cosine":
        _least(account, names, final)
    elif schedule == "linear":
        account.put("rates.final", 0.0, f"{given} ends at 0")
    return given


def _least(account: Account, names: Names, final: float | None) -> None:
    """What a cosine leaves at the end: said by a key of the peer's own, or among the scheduler's arguments."""
    more = account.value(names.schedule_more)
    told = more if isinstance(more, dict) else {}
    share = told.get("min_lr_rate")
    if share is None and isinstance(least := told.get("min_lr"), int | float):
        share = least / (account.number("learning_rate") or 1.0)
    key = names.least if names.least and account.given(names.least) else names.schedule_more
    if key == names.least:
        share = account.number(names.least)
    if isinstance(share, int | float):
        account.carry(key, "rates.final", float(share))
    else:
        account.put("rates.final", final or 0.0, "a cosine of theirs ends at 0")
    if told and share is None and account.value(names.schedule) != "cosine_with_restarts":
        account.lost(names.schedule_more, "only min_lr and min_lr_rate of it are known here")
    if told.get("num_cycles") not in (None, 0.5, 1, 1.0):
        account.lost(names.schedule_more, "one cycle is run")


def _warmup(account: Account, none: bool) -> None:
    """A number of steps goes before a share of them; under `constant` transformers does without."""
    steps, share = account.number("warmup_steps"), account.number("warmup_ratio")
    if none:
        account.put("rates.warmup", 0.0, "a constant schedule has no warm-up")
        for key in ("warmup_steps", "warmup_ratio"):
            if account.given(key):
                account.unneeded(key, "a constant schedule has no warm-up, in transformers either")
    elif steps and steps >= 1:
        account.carry("warmup_steps", "rates.warmup_steps", account.whole("warmup_steps"))
        if account.given("warmup_ratio"):
            account.unneeded("warmup_ratio", "warmup_steps goes before it")
    elif steps:
        account.carry("warmup_steps", "rates.warmup", float(steps))
    elif share is not None:
        account.carry("warmup_ratio", "rates.warmup", float(share))
    else:
        account.carry("warmup_steps", "rates.warmup", 0.0)


def optimizer(account: Account, names: Names) -> None:
    given = str(account.value(names.optimizer))
    if given in SAME_ADAMW:
        account.carry(names.optimizer, "rates.optimizer", "adamw")
    elif given in ROUNDED_ADAMW:
        account.carry(
            names.optimizer, "rates.optimizer", "adamw", "rates.optimizer: adamw, with its moments in float32 (more memory, not coarser)"
        )
    else:
        account.put("rates.optimizer", "adamw", f"instead of {given}")
        account.lost(names.optimizer, f"there is no optimizer {given} of that kind; adamw is written instead")


def precision(account: Account) -> None:
    """bfloat16, or none of it. Masters are float32 here whichever it is."""
    if account.given("fp16") and account.flag("fp16") and account.value("bf16") is not True:
        account.carry("fp16", "machine.precision", "bf16", "machine.precision: bf16, over float32 masters: there is no float16 here")
    elif account.given("bf16") and account.value("bf16") in ("auto", "full"):
        account.unneeded("bf16", "machine.precision is auto: bfloat16 where the machine has units for it")
    elif account.given("bf16"):
        account.carry("bf16", "machine.precision", "bf16" if account.flag("bf16") else "float32")


def seed(account: Account) -> None:
    account.carry(
        "seed", ".seed", account.whole("seed"), f"seed: {account.value('seed')}; the same number draws another order and other adapters"
    )


def length(account: Account, names: Names) -> int | None:
    """The longest row, in tokens; what is longer is cut, and what has no room for an answer is left out."""
    found = account.whole(names.length)
    if found is not None:
        account.carry(names.length, "max_length", found)
    return found


def batch(account: Account, names: Names, gpus: int, packed: int | None, packing: str) -> int:
    """Rows of a step (given back too), or the tokens of a step of packed sequences of `packed` tokens, which the key `packing` asks for."""
    micro, accumulation = account.whole(names.micro) or 1, account.whole("gradient_accumulation_steps") or 1
    rows = micro * accumulation * gpus
    said = f"{micro} x {accumulation} x {gpus} GPU{'s' if gpus > 1 else ''}"
    path, value = ("step_tokens", rows * packed) if packed else ("batch", rows)
    whole = f"{said} x {packed} tokens" if packed else said
    account.carry(names.micro, path, value)
    if account.given("gradient_accumulation_steps"):
        account.carry("gradient_accumulation_steps", path, value)
    if packed:
        account.meant(packing, f"{path}: {value}")
    if account.stage in ("dpo", "reward"):
        account.put("whole_epochs", True, "as transformers counts steps")
    account.comments[("stages", account.stage, path)] = f"{names.micro} x gradient_accumulation_steps x GPUs: {whole}"
    return rows


def amount(account: Account, names: Names, rows: int | None, per_step: int) -> None:
    """Epochs, or a number of steps. `rows` of the data, where they are counted and a step is `per_step` of them."""
    steps, epochs = account.whole("max_steps"), account.number(names.epochs)
    if steps is not None and steps > 0:
        account.carry("max_steps", "steps", steps)
        if account.given(names.epochs):
            account.unneeded(names.epochs, "max_steps goes before it")
        if account.stage == "pretrain":
            account.put("epochs", 1, "steps goes before it")
        return
    whole = -(-int((epochs or 1) * 1000) // 1000)
    if epochs == whole:
        account.carry(names.epochs, "epochs", whole)
    elif rows is not None and epochs:
        count = -(-int(-(-rows // per_step) * epochs * 1000) // 1000)
        account.carry(names.epochs, "steps", count, f"steps: {count}, what {epochs:g} epochs of {rows} rows take; epochs are whole here")
        if account.stage == "pretrain":
            account.put("epochs", max(1, whole), "steps goes before it")
    else:
        account.carry(
            names.epochs, "epochs", max(1, whole), f"epochs: {max(1, whole)}; epochs are whole here, and its rows are not counted yet"
        )


def centered(account: Account) -> None:
    """Of a reward model: what its scores are measured from."""
    account.put("demonstrations", None, "the scale of scores is set on the judged responses")
    if center := account.number("center_rewards_coefficient"):
        account.carry(
            "center_rewards_coefficient",
            "center",
            center,
            f"center: {center:g}; of each score's square, where theirs is of two scores' sum",
        )
