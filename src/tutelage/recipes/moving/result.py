"""What an import leaves: the page, files of rows beside it, and the account of every key; and the steps that the three peers share."""

from dataclasses import dataclass, field
from pathlib import Path

from tutelage.core.errors import UserError
from tutelage.core.files import write_atomic
from tutelage.recipes.moving import data, learning
from tutelage.recipes.moving.account import Account
from tutelage.recipes.moving.data import Kind, Source
from tutelage.recipes.moving.learning import Names

DOWNLOAD = "hf download --repo-type dataset"


@dataclass(frozen=True)
class Moved:
    """A recipe that can be written."""

    account: Account
    files: dict[Path, str] = field(default_factory=dict[Path, str])
    """Rows in our form, by the file that is to hold them."""

    def write(self, out: Path, text: str) -> None:
        """Rows first, the page last. Raises Interrupted when the disk refuses."""
        for path, rows in self.files.items():
            write_atomic(path, rows)
        write_atomic(out, text)


@dataclass(frozen=True)
class Order:
    """What the command line says."""

    source: Path
    out: Path
    gpus: int


def model(account: Account, key: str) -> None:
    """The weights to begin with: a folder or a hub id."""
    given = account.text(key)
    if not given:
        raise account.fault(key, "this file names no model")
    account.put(".schema", 1, "")
    account.carry(key, ".model", given)
    learning.seed(account)


def inputs(account: Account, order: Order, sources: list[Source], kind: Kind) -> Moved:
    """The recipe's one input, and a file of rows for it where theirs can't be given as it is."""
    setting = "preferences" if kind == "preferences" else "data"
    account.put(setting, kind, "the input above")
    hub = [source.name for source in sources if source.path is None]
    for source in sources:
        account.carry(source.key, f".inputs.{kind}", source.name, _said(source, hub))
    if hub:
        account.put(f".inputs.{kind}", None, f"bring it ({DOWNLOAD} {hub[0]}) and give it: inputs.{kind}=PATH", _line(account, sources))
        return Moved(account)
    if data.direct(sources, kind):
        account.put(f".inputs.{kind}", str(sources[0].path), sources[0].key, _line(account, sources))
        return Moved(account)
    path = order.out.with_name(f"{order.out.stem}.{kind}.jsonl")
    text, count = data.as_lines(data.rows(sources, kind))
    names = ", ".join(source.name for source in sources)
    account.put(f".inputs.{kind}", str(path), f"{count} rows written from {names}", _line(account, sources))
    return Moved(account, {path: text})


def _said(source: Source, hub: list[str]) -> str:
    if source.path is None:
        wanted = (
            ""
            if source.columns.plain
            else f"; its columns aren't read here by their names: {source.columns.prompt or source.columns.messages}"
        )
        return f"lies on the hub: bring it with `{DOWNLOAD} {source.name}` and give it as inputs.NAME=PATH{wanted}"
    return "waits for those that lie on the hub: join the files and give the whole" if hub else ""


def _line(account: Account, sources: list[Source]) -> int:
    mark = account.lines[("inputs", next(place[1] for place in account.settings if place[0] == "inputs"))]
    assert isinstance(mark, int) and sources
    return mark


def held_out(account: Account, names: Names) -> None:
    """Every row is learnt from, unless the peer keeps some apart."""
    share = account.number(names.held_out) if names.held_out else 0
    own = "label" if account.stage in ("dpo", "reward") else "sft"
    kept = "a tenth" if own == "label" else "a twentieth"
    if share:
        account.carry(
            names.held_out,
            "split",
            own,
            f"split: {own}: {kept} of the prompts is held out, chosen by a hash of them, whatever the share was",
        )
    elif names.held_out:
        account.carry(names.held_out, "split", "all")
    else:
        account.put("split", "all", f"{account.peer.name} learns from every row")


def stage(account: Account, method: str, by: str) -> None:
    """The one stage, called as its method."""
    account.stage = method
    account.put("method", method, by)
    account.put("init", "model", "")


def refuse(account: Account, key: str, what: str) -> UserError:
    """For what can't be carried at all: without it nothing that was asked would run."""
    return account.fault(key, f"{what}; nothing was written")
