"""What is known of a peer's keys, from the pages beside this file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tutelage.core.settings import Plain, read_yaml
from tutelage.recipes.moving.account import Peer


def known(name: str, page: str, more: Mapping[str, Plain], transformers: bool) -> Peer:
    """The peer called `name`, its keys from `page`.yaml; `more` are defaults that hold here. With `transformers` it takes the keys of
    transformers' TrainingArguments as well, and its own say goes before theirs."""
    own = _page(page)
    theirs = _page("transformers") if transformers else {"defaults": {}, "read": [], "unneeded": {}, "lost": {}}
    return Peer(
        name,
        {**theirs["defaults"], **own["defaults"], **more},
        _joined(theirs["unneeded"], own["unneeded"]),
        _joined(theirs["lost"], own["lost"]),
        (*theirs["read"], *own["read"]),
    )


def _page(name: str) -> dict[str, Any]:
    tree: Any = read_yaml(Path(__file__).with_name(f"{name}.yaml"), f"{name}.yaml").tree
    return tree


def _joined(first: Mapping[str, list[str]], second: Mapping[str, list[str]]) -> dict[str, list[str]]:
    return {why: [*first.get(why, ()), *second.get(why, ())] for why in dict.fromkeys((*first, *second))}
