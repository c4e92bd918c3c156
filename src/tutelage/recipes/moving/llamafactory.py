"""LLaMA-Factory: one page of keys, data sets by name in `dataset_info.json` (hiyouga/LLaMA-Factory, src/llamafactory/hparams, v0.9.5)."""

import json
from pathlib import Path
from typing import Any

from tutelage.core.building import closest
from tutelage.core.conversations import CALL
from tutelage.core.errors import UserError
from tutelage.recipes.moving import data, learning, lora, peers, result
from tutelage.recipes.moving.account import Account, Peer
from tutelage.recipes.moving.data import Columns, Kind, Source
from tutelage.recipes.moving.learning import Names
from tutelage.recipes.moving.lora import Keys
from tutelage.recipes.moving.result import Moved, Order, refuse

STAGES: dict[str, tuple[str, Kind]] = {
    "sft": ("sft", "demonstrations"),
    "dpo": ("dpo", "preferences"),
    "rm": ("reward", "preferences"),
    "pt": ("pretrain", "text"),
}
NAMES = Names(length="cutoff_len", rank="lora_rank", held_out="val_size")
ADAPTER = Keys(dora="use_dora", stabilized="use_rslora", targets="lora_target", folder="adapter_name_or_path")
INFO = "dataset_info.json"
SEEN = "text alone is learnt from"
UNREAD = {"images": SEEN, "videos": SEEN, "audios": SEEN, "tools": "calls are learnt, definitions of functions are not read yet"}
"""Columns that are not read, and why."""


def moved(account: Account, order: Order) -> Moved:
    """Raises UserError for what can't be carried at all, and for mistakes in the file."""
    task = account.value("stage")
    if task not in STAGES:
        raise refuse(account, "stage", f"there is no way over for the stage {task} (for {', '.join(STAGES)} there is)")
    method, kind = STAGES[str(task)]
    result.model(account, "model_name_or_path")
    sources = _sources(account, order.source.parent, kind)
    result.stage(account, method, "stage")
    account.meant("stage", f"method: {method}")
    made = result.inputs(account, order, sources, kind)
    packed = account.flag("packing") if account.given("packing") else kind == "text"
    length = learning.length(account, NAMES)
    packs = packed and method in ("sft", "pretrain")
    rows = learning.batch(account, NAMES, order.gpus, length if packs else None, "packing")
    counted = None if packs else data.counted(sources)
    learning.amount(account, NAMES, counted, rows)
    result.held_out(account, NAMES)
    _what(account, method)
    _adapter(account)
    learning.rates(account, NAMES)
    learning.precision(account)
    return made


def _what(account: Account, method: str) -> None:
    """What is trained, and on which loss."""
    template = account.given("template")
    if template:
        account.otherwise("template", "the chat template in the model's own folder is used, whatever this one is called")
    if method == "sft":
        account.carry("mask_history", "train_history", not account.flag("mask_history"))
    if method != "pretrain":
        account.put("too_long", "leave_out", "a row whose prompt fills cutoff_len has nothing left to learn from")
    if method == "dpo":
        loss = account.value("pref_loss")
        if loss != "sigmoid":
            raise refuse(account, "pref_loss", f"there is no objective {loss} (sigmoid is dpo)")
        account.meant("pref_loss", "the loss of dpo")
        account.carry("pref_beta", "beta", account.number("pref_beta"))
    if method == "reward":
        account.put("demonstrations", None, "the scale of scores is set on the judged responses")


def _adapter(account: Account) -> None:
    kind = account.value("finetuning_type")
    lora.bits(account, "quantization_bit", "quantization_bit", kind == "lora" and not account.given("adapter_name_or_path"))
    if kind not in ("lora", "full"):
        raise refuse(account, "finetuning_type", f"{kind} isn't known here (lora and full are)")
    if kind == "full":
        account.meant("finetuning_type", "no adapter: all weights are trained")
        return
    account.meant("finetuning_type", "the setting adapter")
    if account.given("adapter_name_or_path"):
        lora.kept(account, ADAPTER, ("lora_rank", "lora_alpha", "lora_dropout", "lora_target", "use_dora", "use_rslora"))
        return
    lora.fresh(account, NAMES, ADAPTER, linear=False, quiet=False, twice=True)


def _sources(account: Account, beside: Path, kind: Kind) -> list[Source]:
    """Each name in `dataset`, looked up in dataset_info.json."""
    names = account.names("dataset")
    if not names:
        merges = account.given("export_dir")
        key, does = ("export_dir", "merges and saves a model, which `tutelage export` does") if merges else ("dataset", "names no data set")
        raise account.fault(key, f"this file {does}; nothing is trained by it")
    folder = data.local(account.text("dataset_dir") or "data", beside) or Path(account.text("dataset_dir") or "data")
    info = folder / INFO
    if not info.is_file():
        raise account.fault(
            "dataset_dir" if account.given("dataset_dir") else "dataset", f"there is no file {info}, which says what data sets are"
        )
    known = _info(info)
    if account.given("dataset_dir"):
        account.meant("dataset_dir", "its data sets are the recipe's input")
    first = account.whole("max_samples")
    if first:
        account.meant("max_samples", f"the first {first} rows of each data set were written to the input")
    return [_source(account, name, known, folder, first, kind) for name in names]


def _info(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as problem:
        raise UserError(f"{path}: cannot be read as JSON ({problem})") from None
    if not isinstance(found, dict):
        raise UserError(f"{path}: expected an object with a description for each data set")
    return found


def _source(account: Account, name: str, known: dict[str, Any], folder: Path, first: int | None, kind: Kind) -> Source:
    if name not in known:
        raise account.fault("dataset", f"{folder / INFO} has no data set '{name}'{closest(name, known)}")
    told = known[name]
    if kind == "preferences" and not told.get("ranking"):
        raise account.fault("dataset", f"'{name}' is no data set of preferences ({folder / INFO} doesn't say ranking)")
    columns = _columns(told, kind)
    for part in sorted(set(told.get("columns") or {}) & set(UNREAD)):
        account.lost("dataset", f"{part} of '{name}': {UNREAD[part]}")
    first = first or told.get("num_samples")
    if "file_name" not in told:
        where = told.get("hf_hub_url") or told.get("ms_hub_url") or told.get("script_url") or name
        return Source("dataset", None, str(where), columns, first, account.text("default_system"))
    path = data.only_file(folder / told["file_name"], f"{folder / INFO}: {name}")
    return Source("dataset", path, name, data.without_unused(columns, path), first, account.text("default_system"))


def _columns(told: dict[str, Any], kind: Kind) -> Columns:
    named, tags = told.get("columns") or {}, told.get("tags") or {}
    if kind == "text":
        return Columns(text=named.get("prompt", "text"))
    answers = {"chosen": named.get("chosen", "chosen"), "rejected": named.get("rejected", "rejected")} if kind == "preferences" else {}
    if told.get("formatting", "alpaca") == "sharegpt":
        roles = {tags[f"{who}_tag"]: role for who, role in _SPEAKERS.items() if f"{who}_tag" in tags}
        turns = {"role": tags.get("role_tag", "from"), "content": tags.get("content_tag", "value")}
        return Columns(messages=named.get("messages", "conversations"), system=named.get("system"), roles=roles, **turns, **answers)
    alpaca = {"prompt": named.get("prompt", "instruction"), "query": named.get("query", "input"), "system": named.get("system")}
    response = None if answers else named.get("response", "output")
    return Columns(**alpaca, history=named.get("history"), response=response, joint="\n", **answers)


_SPEAKERS = {"user": "user", "assistant": "assistant", "system": "system", "observation": "tool", "function": CALL}


def peer() -> Peer:
    """What is known of its keys (`llamafactory.yaml` beside this file)."""
    return peers.known("LLaMA-Factory", "llamafactory", {}, transformers=True)
