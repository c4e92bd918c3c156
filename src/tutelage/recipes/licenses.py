"""What may be done with a model, as far as the licenses of what it was made from say: the recipe states one for each input and for the
model (`licenses: {demonstrations: cc-by-nc-4.0, model: apache-2.0}`), a model's own card may state its own.

A name is judged by itself, without reading the text behind it: Creative Commons' and other non-commercial ones by their letters, some
known community licenses by their conditions, the common free ones from a list. Whatever else there is counts as unknown. No advice of a
lawyer; a first wall against the plain mistakes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

from tutelage.core.errors import UserError
from tutelage.core.run import Run
from tutelage.recipes.lineage import Origin, everything

Kind = Literal["free", "conditions", "noncommercial", "unknown"]
FREE = {
    "own", "apache-2.0", "mit", "bsd", "bsd-2-clause", "bsd-3-clause", "bsd-3-clause-clear", "isc", "zlib", "unlicense", "wtfpl", "0bsd",
    "bsl-1.0", "ncsa", "postgresql", "afl-3.0", "artistic-2.0", "ms-pl", "ecl-2.0", "cc0-1.0", "pddl", "pddl-1.0", "cc-by-2.0",
    "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "odc-by", "odc-by-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0", "mpl-2.0",
}  # fmt: skip
"""Commercial use is allowed, at most with a mention of who made it. `own`: yours, nobody else's terms apply."""
SHARE_ALIKE = re.compile(
    r"cc-by-sa-[\d.]+|a?gpl-[\d.]+(-only|-or-later)?|lgpl-[\d.]+(-only|-or-later)?|odbl(-1\.0)?|cdla-sharing-1\.0|eupl-1\.[12]|osl-3\.0"
)
NONCOMMERCIAL = re.compile(r"(^|[-_ .])nc([-_ .]|$)|non-?commercial|research|^apple-amlr$|^apple-ascl-nc$")
LLAMA = re.compile(r"llama-?[234](\.\d)?(-community)?")
LLAMA_SAYS = (
    "Meta's Llama community license: not above 700 million monthly users, 'Built with Llama' must be shown, the name of a model "
    "made from it begins with Llama, the use policy is handed on"
)
CONDITIONS = {
    "gemma": "Google's Gemma terms: hand on the terms and the prohibited-use policy (ai.google.dev/gemma/terms)",
    "openrail": "OpenRAIL: its restrictions of use must be handed on",
    "openrail++": "OpenRAIL++: its restrictions of use must be handed on",
    "bigscience-openrail-m": "OpenRAIL-M: its restrictions of use must be handed on",
    "bigscience-bloom-rail-1.0": "BLOOM RAIL: its restrictions of use must be handed on",
    "bigcode-openrail-m": "OpenRAIL-M: its restrictions of use must be handed on",
    "cc-by-nd-4.0": "no derivatives may be shared",
}


@dataclass(frozen=True)
class Terms:
    """What a license's name says."""

    kind: Kind
    text: str = ""
    """Its conditions, in a sentence."""


@dataclass(frozen=True)
class Ingredient:
    """An input or the recipe's model, as something was made from it."""

    name: str
    """In the recipe: an input's name, or `model`."""
    given: str
    """A file's path, `synthetic:text`, a hub id; empty where the run did not note it."""
    license: str
    """As the recipe states it, else as the model's own card does; empty where nobody says."""
    told: str
    """As the model's own card states it, where the recipe says something else."""
    stages: tuple[str, ...]
    """Those through which it came in."""

    @property
    def title(self) -> str:
        """Name and where it came from, without the folders of whoever ran it."""
        shown = Path(self.given).name if Path(self.given).is_absolute() or self.given.count("/") > 1 else self.given
        return f"{self.name} ({shown})" if shown else self.name

    @property
    def licenses(self) -> tuple[str, ...]:
        """All that were stated; one empty name where none was."""
        return (self.license, self.told) if self.told else (self.license,)


def terms(license: str) -> Terms:
    """What a license's name (an SPDX id, or the hub's) says about commercial use."""
    name = license.strip().lower().replace("_", "-").replace(" ", "-")
    if NONCOMMERCIAL.search(name):
        return Terms("noncommercial")
    if LLAMA.fullmatch(name):
        return Terms("conditions", LLAMA_SAYS)
    if SHARE_ALIKE.fullmatch(name):
        return Terms("conditions", "share alike: whatever counts as derived goes under the same license")
    if name in CONDITIONS:
        return Terms("conditions", CONDITIONS[name])
    return Terms("free" if name in FREE else "unknown")


def of_folder(folder: Path) -> str:
    """The license that a model's README.md states in its front matter; empty where there is none. `other` stands with its name."""
    page = folder / "README.md"
    if not page.is_file():
        return ""
    parts = page.read_text(errors="replace").split("---\n", 2)
    try:
        front: Any = yaml.safe_load(parts[1]) if len(parts) == 3 and not parts[0].strip() else None
    except yaml.YAMLError:
        return ""  # a card that can't be read states nothing, which counts as unknown
    if not isinstance(front, dict):
        return ""
    stated = front.get("license")
    stated = stated[0] if isinstance(stated, list) and stated else stated
    named = front.get("license_name")
    return str(named if stated == "other" and named else stated or "")


def ingredients(opened: Run, found: Origin) -> tuple[Ingredient, ...]:
    """Every input, and the model, behind an artifact. What the run noted is found by content: an input that was exchanged since
    is not mistaken for the one that was learnt from."""
    noted: Mapping[str, Mapping[str, str]] = opened.manifest.get("sources", {})
    through: dict[tuple[str, str], list[str]] = {}
    for part in everything(found).values():
        for name, hash_ in part.artifact.inputs.items():
            through.setdefault((name, hash_), []).append(part.artifact.stage)
    return tuple(_ingredient(name, noted.get(f"{name}:{hash_}", {}), stages) for (name, hash_), stages in through.items())


def _ingredient(name: str, note: Mapping[str, str], stages: list[str]) -> Ingredient:
    said, card = note.get("license", ""), note.get("card", "")
    return Ingredient(name, note.get("given", ""), said or card, card if said and card != said else "", tuple(stages))


def check_commercial(parts: tuple[Ingredient, ...], stage: str) -> None:
    """Raises UserError where anything was made under a non-commercial or an unknown license: each by name, with the stages that read it."""
    faults: list[str] = []
    for part in parts:
        bad = [name for name in part.licenses if terms(name).kind in ("noncommercial", "unknown")]
        faults += [f"{part.title} {_fault(name)}, through {' and '.join(part.stages)}" for name in bad[:1]]
    if faults:
        raise UserError(
            f"--commercial: {stage} was made from " + "; from ".join(faults) + ". State what you know in the recipe "
            "(licenses: {NAME: cc-by-4.0}; own: yours) and run it again, which trains nothing; or leave out what you may not use"
        )


def _fault(name: str) -> str:
    if not name:
        return "(no license is stated)"
    return f"({name}: not for commercial use)" if terms(name).kind == "noncommercial" else f"({name}: not a license that is known here)"
