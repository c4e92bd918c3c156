"""Axolotl: one page of keys, data sets as a list with a `type` each (axolotl-ai-cloud/axolotl, src/axolotl/utils/schemas, v0.18)."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tutelage.core.settings import Plain, closest
from tutelage.recipes.moving import data, learning, lora, peers, result
from tutelage.recipes.moving.account import Account, Peer, Reasons, off
from tutelage.recipes.moving.data import Columns, Kind, Source
from tutelage.recipes.moving.learning import Names, centered
from tutelage.recipes.moving.lora import Keys
from tutelage.recipes.moving.result import Moved, Order, refuse

NAMES = Names(
    epochs="num_epochs",
    micro="micro_batch_size",
    schedule="lr_scheduler",
    least="cosine_min_lr_ratio",
    optimizer="optimizer",
    length="sequence_len",
    held_out="val_set_size",
)
ADAPTER = Keys(dora="peft_use_dora", stabilized="peft_use_rslora", targets="lora_target_modules", folder="lora_model_dir")
LORA = ("lora_r", "lora_alpha", "lora_dropout", "lora_target_modules", "lora_target_linear")
ALPACA = Columns(prompt="instruction", query="input", response="output")
TYPES: dict[str, dict[str, Columns]] = {
    "sft": {
        "alpaca": ALPACA,
        **dict.fromkeys(("alpaca_instruct", "alpaca:chat", "alpaca:instruct", "alpaca:phi"), ALPACA),
        **dict.fromkeys(("alpaca_chat", "alpaca_chat.load_concise", "alpaca_chat.load_no_prompt"), ALPACA),
        "alpaca_w_system": replace(ALPACA, system="system"),
        "alpaca_chat.load_qa": Columns(prompt="question", response="answer"),
        "alpaca_chat.load_camel_ai": Columns(prompt="message_1", response="message_2"),
        "gpteacher": replace(ALPACA, response="response"),
        "oasst": Columns(prompt="INSTRUCTION", response="RESPONSE"),
        "summarizetldr": Columns(prompt="article", response="summary"),
        "chat_template": Columns(messages="messages"),
        "sharegpt": Columns(messages="conversations", role="from", content="value"),
    },
    "pretrain": {"completion": Columns(text="text"), "pretrain": Columns(text="text")},
    "dpo": {
        "chat_template.default": Columns(messages="messages", chosen="chosen", rejected="rejected"),
        "chat_template.argilla_chat": Columns(chosen="chosen", rejected="rejected"),
        **{
            f"{family}.{form}": columns
            for family in ("chatml", "llama3", "zephyr")
            for form, columns in {
                "intel": Columns(prompt="question", system="system", chosen="chosen", rejected="rejected"),
                "ultra": Columns(prompt="prompt", system="system", chosen="chosen", rejected="rejected"),
                "prompt_pairs": Columns(prompt="prompt", system="system", chosen="chosen", rejected="rejected"),
                "argilla_chat": Columns(chosen="chosen", rejected="rejected"),
            }.items()
        },
    },
    "reward": {"bradley_terry.chat_template": Columns(prompt="input", system="system", chosen="chosen", rejected="rejected")},
}
KINDS: dict[str, Kind] = {"sft": "demonstrations", "pretrain": "text", "dpo": "preferences", "reward": "preferences"}
FIELDS = {
    "field_instruction": "prompt",
    "field_input": "query",
    "field_output": "response",
    "field_system": "system",
    "field_messages": "messages",
    "field_prompt": "prompt",
    "field_chosen": "chosen",
    "field_rejected": "rejected",
    "field": "text",
    "text_column": "text",
}
TOLD = (
    "path",
    "type",
    "split",
    "data_files",
    "ds_type",
    "message_property_mappings",
    "message_field_role",
    "message_field_content",
    "roles",
    "roles_to_train",
    "trust_remote_code",
    "chat_template",
    "train_on_eos",
    "train_on_eot",
    "conversation",
    "format",
    "no_input_format",
    "system_prompt",
    "system_format",
    "prompt_format",
    "chosen_format",
    "rejected_format",
    "preprocess_shards",
    *FIELDS,
)
LOST: Reasons = {
    "all rows are read": ("shards", "shards_idx", "skip"),
    "the file is taken as it is": ("revision",),
    "the file that is meant is named": ("name",),
    "the chat template in the model's own folder is used": ("chat_template_jinja",),
    "what a turn thinks is not read apart from what it says": ("field_thinking", "template_thinking_key", "split_thinking"),
    "calls are learnt, definitions of functions are not read yet": ("field_tools",),
    "every turn of the assistant is trained": ("message_field_training",),
    "every turn of the assistant is trained, all of it": ("message_field_training_detail",),
    "what the system says stays": ("drop_system_message",),
    "it is read by no type that comes over": ("field_human", "field_model"),
    "rows are read as the type has it": ("input_format", "input_transform"),
    "no other model's probabilities are learnt from": ("logprobs_field", "temperature"),
}
"""What of a data set has nothing here."""
FIELDS_KNOWN = (*TOLD, *(name for names in LOST.values() for name in names))
FAST = ("cut_cross_entropy", "liger", "kernels", "expert_parallel", "swanlab")
"""Plugins that change how fast something is computed or where figures go, and nothing that is learnt."""
OBJECTIVES = ("diffusion", "kd_trainer", "hatchery", "nemo_gym_enabled")
"""Keys of plugins that train for something else altogether."""


def moved(account: Account, order: Order) -> Moved:
    """Raises UserError for what can't be carried at all, and for mistakes in the file."""
    method, by = _method(account)
    result.model(account, "base_model")
    sources = _sources(account, order.source.parent, method)
    result.stage(account, method, by)
    made = result.inputs(account, order, sources, KINDS[method])
    length = learning.length(account, NAMES)
    packs = account.given("sample_packing") and account.flag("sample_packing") and method in ("sft", "pretrain")
    rows = learning.batch(account, NAMES, order.gpus, length if packs else None, "sample_packing")
    learning.amount(account, NAMES, None if packs else data.counted(sources), rows)
    result.held_out(account, NAMES)
    _what(account, method)
    _adapter(account, method)
    learning.rates(account, NAMES)
    if not account.given("warmup_steps") and not account.given("warmup_ratio"):
        account.otherwise("warmup_ratio", "of which Axolotl takes 100 steps at most")
    learning.precision(account)
    return made


def _method(account: Account) -> tuple[str, str]:
    """Which stage, and the key that says so."""
    for key in OBJECTIVES:
        if not off(account.value(key)):
            raise refuse(account, key, "there is no way over for what this plugin trains for")
    rl = account.value("rl")
    if rl not in (None, "dpo", False):
        raise refuse(account, "rl", f"there is no way over for {rl} (for dpo, reward_model and fine-tuning there is)")
    if rl == "dpo":
        loss = account.value("dpo_loss_type")
        if loss not in (None, "sigmoid", ["sigmoid"]):
            raise refuse(account, "dpo_loss_type", f"there is no objective {loss} (sigmoid is dpo)")
        account.meant("rl", "method: dpo")
        return "dpo", "rl"
    if account.given("reward_model") and account.flag("reward_model"):
        account.meant("reward_model", "method: reward")
        return "reward", "reward_model"
    key = "pretraining_dataset" if account.given("pretraining_dataset") else "datasets"
    types = [one.get("type") for one in _listed(account, key)]
    texts = all(kind in TYPES["pretrain"] for kind in types) or key == "pretraining_dataset"
    return ("pretrain", key) if texts else ("sft", "neither rl nor reward_model")


def _what(account: Account, method: str) -> None:
    """What is trained of each row, and on which loss."""
    account.put(
        "too_long", "leave_out", "a row whose prompt fills sequence_len has nothing left to learn from"
    ) if method != "pretrain" else None
    if (account.given("excess_length_strategy") and account.value("excess_length_strategy") != "truncate") or (
        method == "sft" and not account.given("excess_length_strategy")
    ):
        account.otherwise("excess_length_strategy", "a row that is longer than sequence_len is cut, where Axolotl would leave it out")
    template = account.value("chat_template")
    if template == "tokenizer_default":
        account.unneeded("chat_template", "the chat template in the model's own folder is used")
    elif template:
        account.otherwise("chat_template", "the chat template in the model's own folder is used, whatever this one is called")
    if method == "sft":
        account.put("train_history", True, "every turn of the assistant is trained, as roles_to_train has it")
        if account.given("train_on_inputs") and account.flag("train_on_inputs"):
            account.lost("train_on_inputs", "prompts are never trained")
        else:
            account.unneeded("train_on_inputs", "prompts are never trained")
    if method == "dpo":
        account.carry("rl_beta", "beta", account.number("rl_beta"))
    if method == "reward":
        centered(account)
    tokens = account.value("special_tokens")
    if isinstance(tokens, dict) and {name for name, token in tokens.items() if token is not None} == {"pad_token"}:
        account.unneeded("special_tokens", "nothing is padded")
    strange = [name for name in account.names("plugins") if not any(f".{fast}." in name for fast in FAST)]
    if strange:
        account.lost("plugins", f"there is nothing here like {', '.join(strange)}")
    elif account.given("plugins"):
        account.unneeded("plugins", "how it is computed is the machine's affair, not the recipe's")


def _adapter(account: Account, method: str) -> None:
    kind = account.value("adapter")
    if kind not in (None, "lora", "qlora", "dora"):
        raise refuse(account, "adapter", f"there is no adapter {kind} here (lora, qlora and dora are)")
    lora.bits(account, "load_in_4bit", "load_in_8bit", kind is not None and not account.given("lora_model_dir"))
    if kind is None:
        for key in LORA:
            if account.given(key):
                account.unneeded(key, "no adapter is asked for")
        return
    account.meant("adapter", "the setting adapter")
    if account.given("lora_model_dir"):
        lora.kept(account, ADAPTER, (*LORA, "peft_use_dora", "peft_use_rslora"))
        return
    linear = account.given("lora_target_linear") and account.flag("lora_target_linear")
    if linear:
        account.carry("lora_target_linear", "adapter.targets", "all-linear")
    lora.fresh(account, NAMES, ADAPTER, linear, quiet=method in ("dpo", "reward"))
    if kind == "dora":
        account.put("adapter.dora", True, "adapter")


def _listed(account: Account, key: str) -> list[dict[str, Plain]]:
    """The data sets, each a mapping."""
    found = account.value(key)
    if isinstance(found, dict):
        found = [found]
    if not isinstance(found, list) or not found:
        raise account.fault(key, "this file names no data set; expected a list, each with path and type")
    for number, one in enumerate(found):
        if not isinstance(one, dict) or not isinstance(one.get("path"), str):
            raise account.fault(f"{key}.{number}", "a data set needs a path")
    return found  # pyright: ignore[reportReturnType]


def _sources(account: Account, beside: Path, method: str) -> list[Source]:
    key = "pretraining_dataset" if account.given("pretraining_dataset") else "datasets"
    listed = _listed(account, key)
    return [_source(account, f"{key}.{number}", one, beside, method) for number, one in enumerate(listed)]


def _source(account: Account, key: str, one: dict[str, Any], beside: Path, method: str) -> Source:
    for name in one:
        if name not in FIELDS_KNOWN:
            raise account.fault(f"{key}.{name}", f"Axolotl has no such key of a data set{closest(name, FIELDS_KNOWN)}")
    columns = _columns(account, key, one, method)
    _aside(account, key, one)
    place = account.fault(f"{key}.path", "").args[0].removesuffix(": ")
    given = one["path"]
    if given in ("json", "parquet", "text") and one.get("data_files"):
        files = one["data_files"]
        given = files[0] if isinstance(files, list) else files
    path = data.local(given, beside)
    if path is not None and path.is_dir() and isinstance(one.get("data_files"), str):
        path = path / one["data_files"]
    path = None if path is None else data.only_file(path, place)
    system = one["type"].get("system_prompt") if isinstance(one.get("type"), dict) else None
    return Source(f"{key}.path", path, given, data.without_unused(columns, path), None, system or None)


def _columns(account: Account, key: str, one: dict[str, Any], method: str) -> Columns:
    """By the type's name or by its fields, and by the data set's own fields."""
    kind = one.get("type", "pretrain" if method == "pretrain" else None)
    own = kind if isinstance(kind, dict) else {}
    if not own and kind not in TYPES[method]:
        raise refuse(account, f"{key}.type", f"there is no way over for the type {kind} (for {', '.join(TYPES[method])} there is)")
    columns = Columns() if own else TYPES[method][str(kind)]
    if method == "dpo" and own:
        columns = Columns(prompt="prompt", system="system", chosen="chosen", rejected="rejected")
    named = {FIELDS[name]: value for name, value in {**own, **one}.items() if name in FIELDS and value}
    if columns.messages is None and not own:
        named.pop("messages", None)
    mapped = one.get("message_property_mappings") or {}
    turns = {
        "role": mapped.get("role") or one.get("message_field_role") or columns.role,
        "content": mapped.get("content") or one.get("message_field_content") or columns.content,
    }
    roles = {name: role for role, names in (one.get("roles") or {}).items() for name in names if name != role}
    said = f"{kind if isinstance(kind, str) else 'as its fields say'}"
    wording = "; its wording around a prompt gives way to the model's chat template" if own or columns.response else ""
    if method == "pretrain":
        account.unneeded(f"{key}.type", "plain text: every token is trained")
    elif wording or not said.startswith("chat_template"):
        account.otherwise(f"{key}.type", f"rows are read as {said}{wording or '; they are rendered by the chat template of the model'}")
    else:
        account.unneeded(f"{key}.type", "rendered by the chat template of the model")
    return replace(columns, **named, **turns, roles=roles)


def _aside(account: Account, key: str, one: dict[str, Any]) -> None:
    """What a data set says beside its rows."""
    for why, names in LOST.items():
        for name in names:
            if one.get(name):
                account.lost(f"{key}.{name}", why)
    if one.get("roles_to_train") not in (None, ["assistant"], ["gpt"], ["assistant", "gpt"], ["gpt", "assistant"]):
        account.lost(f"{key}.roles_to_train", "only the assistant's turns are trained")
    if one.get("train_on_eos") not in (None, "turn"):
        account.lost(f"{key}.train_on_eos", "the end of each trained turn is trained")
    if one.get("split") not in (None, "train"):
        account.lost(f"{key}.split", "a file is read whole; name the file of that split")


def peer() -> Peer:
    """What is known of its keys (`axolotl.yaml` beside this file)."""
    return peers.known("Axolotl", "axolotl", {}, transformers=False)
