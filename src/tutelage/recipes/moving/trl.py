"""TRL: a command line, a page of keys given to it with --config, or both (huggingface/trl, trl/trainer/*_config.py, v1.9).

A page does not say which trainer it is for; the command line does. What a data set is, TRL tells by its columns, and so is it here.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tutelage.core.errors import UserError
from tutelage.core.rows import records
from tutelage.core.settings import Located, Plain, closest, read_yaml
from tutelage.recipes.moving import data, learning, lora, peers, result
from tutelage.recipes.moving.account import Account, Peer
from tutelage.recipes.moving.data import Columns, Source
from tutelage.recipes.moving.learning import Names, centered
from tutelage.recipes.moving.lora import Keys
from tutelage.recipes.moving.result import Moved, Order, refuse

DEFAULTS: dict[str, dict[str, Plain]] = {
    "sft": {"learning_rate": 2e-5},
    "dpo": {"learning_rate": 1e-6},
    "reward": {"learning_rate": 1e-4},
}
"""What each trainer takes where nothing is said, beside what is common to all."""
TRAINERS = (*DEFAULTS, "kto", "grpo", "rloo")
NAMES = Names()
ADAPTER = Keys(dora="use_dora", stabilized="use_rslora", targets="lora_target_modules")
HOW = "tutelage import trl sft --config FILE (or dpo, reward)"


def command(words: Sequence[str], place: str) -> tuple[str, Located]:
    """The trainer and the keys of `sft --model_name_or_path X ...`, `--config FILE` beneath them. UserError for what isn't a key and a
    value, or is given twice."""
    if words[:1] == ["trl"]:
        words = words[1:]
    if not words or words[0].startswith("-"):
        raise UserError(f"{place}: say which trainer: {HOW}")
    trainer = Path(words[0]).name.removesuffix(".py")
    if trainer not in TRAINERS:
        raise UserError(f"{place}: TRL has no trainer '{words[0]}'{closest(trainer, TRAINERS)}; it has {', '.join(TRAINERS)}")
    said = _keys(words[1:], f"trl {trainer}")
    config = said.pop("config", None)
    if config is None:
        return trainer, Located(said, {}, f"trl {trainer}")
    page = read_yaml(Path(str(config)), str(config))
    if not isinstance(page.tree, dict):
        raise UserError(f"{config}: expected keys of TRL, found {'nothing' if page.tree is None else 'no keys'}")
    lines = {place: line for place, line in page.lines.items() if not place or place[0] not in said}
    return trainer, Located({**page.tree, **said}, lines, str(config))


def _keys(words: Sequence[str], place: str) -> dict[str, Plain]:
    found: dict[str, Plain] = {}
    values: dict[str, list[str]] = {}
    key = ""
    for word in words:
        if word.startswith("--"):
            key, sign, value = word[2:].partition("=")
            key = key.replace("-", "_")
            if key in values:
                raise UserError(f"{place}: --{key} is given twice; keep one of them")
            values[key] = [value] if sign else []
        elif key:
            values[key].append(word)
        else:
            raise UserError(f"{place}: '{word}' belongs to no option; options are written --learning_rate 2e-5")
    for key, given in values.items():
        read = [read_yaml(value, f"{place} --{key}").tree for value in given]
        found[key] = True if not read else read[0] if len(read) == 1 else read
        if key.startswith("no_") and not read:
            del found[key]
            found[key.removeprefix("no_")] = False
    return found


def moved(account: Account, order: Order, trainer: str) -> Moved:
    """Raises UserError for what can't be carried at all, and for mistakes in the keys."""
    if trainer not in DEFAULTS:
        raise UserError(
            f"{account.file.name}: there is no way over for trl {trainer} (for {', '.join(DEFAULTS)} there is); nothing was written"
        )
    result.model(account, "model_name_or_path")
    sources = _sources(account, order.source.parent, trainer)
    kind = "preferences" if trainer != "sft" else "text" if sources[0].columns.text else "demonstrations"
    method = "pretrain" if kind == "text" else trainer
    result.stage(account, method, f"trl {trainer}" + (", on plain text" if kind == "text" else ""))
    made = result.inputs(account, order, sources, kind)
    length = learning.length(account, replace(NAMES, length="max_seq_length") if account.given("max_seq_length") else NAMES)
    packs = account.flag("packing") and trainer == "sft"
    rows = learning.batch(account, NAMES, order.gpus, length if packs else None, "packing")
    learning.amount(account, NAMES, None if packs else data.counted(sources), rows)
    result.held_out(account, NAMES)
    _what(account, method, sources)
    _adapter(account, method)
    learning.rates(account, NAMES)
    learning.precision(account)
    return made


def _what(account: Account, method: str, sources: list[Source]) -> None:
    if method != "pretrain":
        account.put("too_long", "leave_out", "a row whose prompt fills max_length has nothing left to learn from")
    if account.value("truncation_mode") == "keep_end":
        account.lost("truncation_mode", "what doesn't fit is cut at its end")
    if method == "sft":
        _trained(account, sources)
        if account.value("loss_type") not in (None, "nll", "chunked_nll"):
            raise refuse(account, "loss_type", f"there is no loss {account.value('loss_type')} for sft (nll is)")
    if method == "dpo":
        loss = account.value("loss_type")
        if loss not in (None, "sigmoid", ["sigmoid"]):
            raise refuse(account, "loss_type", f"there is no objective {loss} (sigmoid is dpo)")
        if loss:
            account.meant("loss_type", "the loss of dpo")
        account.carry("beta", "beta", account.number("beta"))
        if account.number("label_smoothing"):
            account.lost("label_smoothing", "there is no smoothing of labels")
    if method == "reward":
        centered(account)


def _trained(account: Account, sources: list[Source]) -> None:
    """Which tokens: TRL trains the completion of a prompt and completion, and of messages every token unless told otherwise."""
    account.put("train_history", True, "every turn of the assistant is trained")
    key = "assistant_only_loss" if account.given("assistant_only_loss") else "completion_only_loss"
    if account.value("assistant_only_loss") is True or account.value("completion_only_loss") is True:
        account.unneeded(key, "only what the assistant wrote is trained")
    elif any(source.columns.messages for source in sources) or account.value("completion_only_loss") is False:
        account.lost(key, "only what the assistant wrote is trained; TRL, asked nothing else, trains every token of messages")


def _adapter(account: Account, method: str) -> None:
    lora.bits(account, "load_in_4bit", "load_in_8bit", account.flag("use_peft"))
    if account.flag("use_peft"):
        account.meant("use_peft", "the setting adapter")
        lora.fresh(account, NAMES, ADAPTER, linear=False, quiet=method in ("dpo", "reward"))
        return
    for key in ("lora_r", "lora_alpha", "lora_dropout", "lora_target_modules", "use_dora", "use_rslora"):
        if account.given(key):
            account.unneeded(key, "without use_peft TRL trains all weights")


def _sources(account: Account, beside: Path, trainer: str) -> list[Source]:
    """`datasets` goes before `dataset_name`, as in TRL's scripts."""
    if account.given("datasets"):
        listed = account.value("datasets")
        if not isinstance(listed, list) or not all(isinstance(one, dict) and isinstance(one.get("path"), str) for one in listed):
            raise account.fault("datasets", "expected a list, each with a path")
        return [_source(account, f"datasets.{number}", one, beside, trainer) for number, one in enumerate(listed) if isinstance(one, dict)]
    name = account.text("dataset_name")
    if not name:
        raise account.fault("dataset_name", "no data set is named")
    if account.value("dataset_train_split") != "train":
        account.lost("dataset_train_split", "a file is read whole; name the file of that split")
    return [_source(account, "dataset_name", {"path": name}, beside, trainer)]


def _source(account: Account, key: str, one: dict[str, Any], beside: Path, trainer: str) -> Source:
    for name in set(one) - {"path", "data_files", "split"}:
        if one[name]:
            account.lost(f"{key}.{name}", "a file is read whole; name the file that is meant")
    given = one["path"]
    if isinstance(one.get("data_files"), str):
        given = one["data_files"] if given in ("json", "parquet", "text") else f"{given}/{one['data_files']}"
    path = data.local(given, beside)
    place = account.fault(key, "").args[0].removesuffix(": ")
    path = None if path is None else data.only_file(path, place)
    name = key if key == "dataset_name" else f"{key}.path"
    return Source(name, path, given, _columns(account, path, trainer))


def _columns(account: Account, path: Path | None, trainer: str) -> Columns:
    """TRL's types of data sets, by the columns of the first row."""
    there = set() if path is None else set(next(records(path)).values)
    asked = Columns(prompt="prompt") if "prompt" in there else Columns()
    if trainer != "sft":
        return replace(asked, chosen="chosen", rejected="rejected")
    if there & {"messages", "conversations"}:
        return Columns(messages="messages" if "messages" in there else "conversations")
    text = account.text("dataset_text_field") or "text"
    if "completion" not in there and text in there:
        return Columns(text=text)
    return replace(asked, prompt="prompt", response="completion") if "completion" in there or path is None else Columns()


def peer(trainer: str) -> Peer:
    """What is known of its keys (`trl.yaml` and `transformers.yaml` beside this file)."""
    return peers.known("TRL", "trl", DEFAULTS.get(trainer, {}), transformers=True)
