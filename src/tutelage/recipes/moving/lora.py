"""Adapters: rank, alpha, targets, DoRA; and rank-stabilized scaling, which is another alpha."""

from dataclasses import dataclass

from tutelage.recipes.moving.account import Account
from tutelage.recipes.moving.learning import Names

EVERY = ("all", "all-linear")
MARKS = set("*+?\\([|^$")
"""What a regular expression of paths has and no list of names."""
FULL = "the base stays in full precision: more memory, no rounding of the base"


@dataclass(frozen=True)
class Keys:
    """What a peer calls the switches of an adapter."""

    dora: str
    stabilized: str
    targets: str
    folder: str = ""
    """Of an adapter to go on with."""


def fresh(account: Account, names: Names, keys: Keys, linear: bool, quiet: bool, twice: bool = False) -> None:
    """A new LoRA adapter. `twice`: alpha, where the file doesn't say it, is twice the rank. `linear`: a key of the peer's own says that
    all linear layers are adapted. `quiet`: the peer turns dropout off."""
    rank = account.whole(names.rank)
    alpha = account.number(names.alpha)
    if alpha is None and twice and rank is not None:
        alpha = 2.0 * rank
    if rank is None or alpha is None:
        raise account.fault(names.rank if rank is None else names.alpha, "an adapter needs it, and there is no default for it")
    account.carry(names.rank, "adapter.rank", rank)
    if account.flag(keys.stabilized):
        value = alpha * rank**0.5
        account.carry(
            names.alpha, "adapter.alpha", value, f"adapter.alpha: {value:g} = {alpha:g} x sqrt({rank}), so that alpha / rank is as asked"
        )
        account.otherwise(keys.stabilized, "said by adapter.alpha: the product is scaled by alpha / sqrt(rank)")
    else:
        account.carry(names.alpha, "adapter.alpha", float(alpha))
    if account.flag(keys.dora):
        account.carry(keys.dora, "adapter.dora", True)
    _targets(account, keys, linear)
    _dropout(account, quiet)


def _targets(account: Account, keys: Keys, linear: bool) -> None:
    pattern = account.value(keys.targets)
    if not linear and isinstance(pattern, str) and MARKS & set(pattern):
        account.carry(keys.targets, "adapter.targets", pattern)
        return
    named = account.names(keys.targets)
    if linear or named in [[word] for word in EVERY]:
        account.put("adapter.targets", "all-linear", "all linear layers but the words' output matrix")
        if account.given(keys.targets) or not linear:
            account.carry(keys.targets, "adapter.targets", "all-linear")
        if linear and len(named) and named[0] not in EVERY:
            account.otherwise(keys.targets, "all linear layers are adapted anyway")
    elif named:
        account.carry(keys.targets, "adapter.targets", [*named])
    else:
        account.carry(
            keys.targets,
            "adapter.targets",
            ["q_proj", "v_proj"],
            "adapter.targets: [q_proj, v_proj], what peft takes for most families; check it for yours",
        )


def _dropout(account: Account, quiet: bool) -> None:
    if not account.number("lora_dropout"):
        account.unneeded("lora_dropout", "0, as here")
    elif quiet:
        account.unneeded("lora_dropout", f"{account.peer.name} turns dropout off for this method (disable_dropout), as it is here")
    else:
        account.lost("lora_dropout", f"dropout is 0 here, not {account.number('lora_dropout'):g}: two readings of a token must agree")


def kept(account: Account, keys: Keys, others: tuple[str, ...]) -> None:
    """An adapter to go on with: its own config says all about it, as it does for the peer."""
    folder = account.text(keys.folder) or ""
    if "," in folder:
        raise account.fault(keys.folder, "several adapters can't be joined; merge all but the last one into the model")
    account.put("adapter.kind", "peft", keys.folder)
    account.carry(keys.folder, "adapter.from", folder)
    for key in others:
        if account.given(key):
            account.unneeded(key, f"the adapter's own config says it, {account.peer.name} takes it from there, too")


def bits(account: Account, four: str, eight: str, adapted: bool) -> None:
    """A base in four or eight bits: the keys that ask for it (one key may ask for either, by the number). `adapted`: there is a new
    adapter over it."""
    for key in dict.fromkeys((four, eight)):
        given = account.value(key)
        if not account.given(key) or given in (False, 0):
            continue
        base = "nf4" if given == 4 or (given is True and key == four) else "int8"
        if adapted and given in (True, 4, 8):
            account.carry(key, "adapter.base", base)
        else:
            account.lost(key, FULL)
