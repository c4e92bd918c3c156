"""The model card: what a stage was made of and from, by whom, under which licenses, how it was measured, and what it isn't.

Everything in it is read from the run's manifests and report; what nobody said stands there as not stated. The front matter is the hub's.
People appear as a number, files without their folders.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from tutelage.core.artifact import Artifact
from tutelage.core.run import Run
from tutelage.models.hub.name import is_repository
from tutelage.recipes import lineage
from tutelage.recipes.licenses import Ingredient, terms
from tutelage.recipes.lineage import Origin

CAUTION = (
    "It was taught to give answers that some people, or a model of them, preferred to others. That says nothing about questions which "
    "they were not asked, nor about what it does for someone who wants harm from it, and a model can learn to please its judges rather "
    "than to be right. Test it on your own use before anyone depends on it."
)
UNTOLD = ("machine", "seed", "label", "evals")
"""Settings that say where a stage ran rather than what it did."""
SHOWN = 14
"""Settings of a stage in its line."""


@dataclass(frozen=True)
class Shape:
    """What the card lies beside."""

    form: str
    """plain, merged, adapter or gguf."""
    dtype: str
    base: str
    """What an adapter belongs on."""
    notes: tuple[str, ...] = ()
    """What the export could not say exactly."""


def write(opened: Run, found: Origin, parts: Sequence[Ingredient], shape: Shape) -> str:
    """The card of `found` as Markdown with YAML front matter."""
    artifact = found.artifact
    scores = (artifact.path / "model" / "score.json").is_file()
    evals, against = measured(opened, artifact)
    environment = Environment(
        loader=PackageLoader("tutelage.recipes", "."), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["cell"] = cell
    people = lineage.people(found)
    return environment.get_template("card.md.jinja").render(
        front=yaml.safe_dump(front(artifact, parts, shape, scores), sort_keys=False, allow_unicode=True),
        title=f"{artifact.stage}, of the recipe {opened.manifest['recipe']}",
        what=what(artifact, shape, scores),
        caution=CAUTION,
        stages=[told(part) for part in lineage.everything(found).values()],
        people=f"{len(people)} {'person' if len(people) == 1 else 'annotators'} ({sum(people.values()):,} annotations)" if people else "",
        parts=[ingredient(part) for part in parts],
        evals=evals,
        against=against,
        limits=limits(found, parts, shape, bool(evals)),
        usage=usage(artifact, shape, scores),
        stage=artifact.stage,
        hash=artifact.hash[:12],
        created=artifact.created,
        version=version("tutelage"),
    )


def cell(text: object) -> str:
    """A text that may stand in a table."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def front(artifact: Artifact, parts: Sequence[Ingredient], shape: Shape, scores: bool) -> dict[str, Any]:
    """The front matter. Only ids of the hub are named as such: a folder's name would link to somebody else's model."""
    licenses = {name for part in parts for name in part.licenses if name != "own" and not part.given.startswith("synthetic:")}
    single = next(iter(licenses)) if len(licenses) == 1 else ""
    fields: dict[str, Any] = {"license": single} if terms(single).kind != "unknown" else {"license": "other", "license_name": "see-below"}
    given = {part.name: part.given for part in parts}
    base = shape.base if shape.form == "adapter" else given.get("model", "")
    if hub_id(base):
        fields["base_model"] = base
        fields["base_model_relation"] = {"adapter": "adapter", "gguf": "quantized"}.get(shape.form, "finetune")
    if datasets := [path for name, path in given.items() if name != "model" and hub_id(path)]:
        fields["datasets"] = datasets
    fields["library_name"] = {"adapter": "peft", "gguf": "gguf"}.get(shape.form, "transformers")
    fields["pipeline_tag"] = "text-classification" if scores else "text-generation"
    fields["tags"] = ["tutelage", artifact.method, *(["reward-model"] if scores else []), *(["gguf"] if shape.form == "gguf" else [])]
    return fields


def hub_id(given: str) -> bool:
    """OWNER/NAME, and no file or folder here."""
    return is_repository(given) and not Path(given).exists()


def what(artifact: Artifact, shape: Shape, scores: bool) -> str:
    """The first sentence."""
    kind = "A reward model: it gives a conversation a score" if scores else "A language model"
    size = artifact.results.get("parameters")
    number = f" of {size:,} parameters" if isinstance(size, int) and not scores else ""
    form = {"adapter": "as an adapter alone", "gguf": f"for llama.cpp, in {shape.dtype}"}.get(shape.form, f"in {shape.dtype}")
    return f"{kind}{number}, made by the stage `{artifact.stage}` (method `{artifact.method}`); here {form}."


def told(part: Origin) -> dict[str, str]:
    """A stage's line."""
    artifact = part.artifact
    names = {*artifact.parents, *artifact.inputs}
    read = [*artifact.parents, *artifact.inputs]
    if part.people:
        read.append(f"{len(part.people)} annotators, {sum(part.people.values()):,} annotations")
    settings = [f"{key} {value}" for key, value in flat(artifact.settings) if value not in names and key.split(".")[0] not in UNTOLD]
    more = f", and {len(settings) - SHOWN} more" if len(settings) > SHOWN else ""
    row = {"stage": artifact.stage, "method": artifact.method.rpartition(":")[2], "read": ", ".join(read) or "nothing"}
    return {**row, "settings": ", ".join(settings[:SHOWN]) + more}


def flat(tree: Mapping[str, Any], above: str = "") -> list[tuple[str, Any]]:
    """Settings by their path; those that say nothing (null, false, empty) are left out."""
    rows: list[tuple[str, Any]] = []
    for key, value in tree.items():
        if isinstance(value, dict):
            rows += flat(value, f"{above}{key}.")
        elif value not in (None, False, "", [], ()):
            rows.append((f"{above}{key}", ", ".join(map(str, value)) if isinstance(value, list | tuple) else value))
    return rows


def ingredient(part: Ingredient) -> dict[str, str]:
    """The line of an input, or of the model."""
    names = [name or "*not stated*" for name in part.licenses]
    said = [terms(name) for name in part.licenses]
    kinds = {"noncommercial": "**not for commercial use**", "unknown": "not known here: read it"}
    conditions = [term.text or kinds.get(term.kind, "") for name, term in zip(part.licenses, said) if name]
    differ = f" (its own card says {part.told})" if part.told else ""
    return {
        "title": part.title,
        "license": names[0] + differ,
        "conditions": "; ".join(filter(None, conditions)),
        "stages": ", ".join(part.stages),
    }


def measured(opened: Run, artifact: Artifact) -> tuple[list[dict[str, str]], str]:
    """A row for each eval of this very artifact, and the stage beside it: what it began as, where that was measured too."""
    found = [a for a in opened.artifacts() if a.parents.get(artifact.stage) == artifact.hash and (a.path / "report.json").is_file()]
    if not found:
        return [], ""
    plain = json.loads((max(found, key=lambda a: a.created).path / "report.json").read_text())
    rows = {name: row for name, row in plain["evals"].items() if artifact.stage in row}
    init = str(artifact.settings.get("init", ""))
    against = init if any(init in row for row in rows.values()) else ""
    return [
        {
            "title": plain["measures"][name]["title"] + (f", {unit}" if (unit := plain["measures"][name]["unit"]) else ""),
            "own": figure(row[artifact.stage]),
            "n": f"{row[artifact.stage]['n']:,}",
            "other": figure(row[against]) if against in row else "",
        }
        for name, row in rows.items()
    ], against


def figure(row: Mapping[str, Any]) -> str:
    """0.61 (0.55 to 0.67)"""
    span = "" if row["low"] is None or row["high"] is None else f" ({row['low']:.3g} to {row['high']:.3g})"
    return f"{row['mean']:.3g}{span}"


def limits(found: Origin, parts: Sequence[Ingredient], shape: Shape, was_measured: bool) -> list[str]:
    """What a reader must know before using it."""
    lines = ["No test here shows that it is safe, or right, outside of the questions above."]
    if any(part.given.startswith("synthetic:") for part in parts):
        lines.append("It learnt from a small generated world, so it speaks of nothing else, and is no assistant for people.")
    if not was_measured:
        lines.append("Nothing was measured.")
    if any(
        part.artifact.results.get("annotators") and "synthetic" in str(part.artifact.settings.get("by"))
        for part in lineage.everything(found).values()
    ):
        lines.append("Its annotators were simulated; no person judged it.")
    if any(terms(name).kind == "noncommercial" for part in parts for name in part.licenses):
        lines.append("Something that it was made from is not for commercial use (see the table).")
    if shape.form == "gguf" and shape.dtype == "q8_0":
        lines.append("Its weights are rounded to 8 bits, its figures were measured before that.")
    elif shape.dtype in ("bf16", "f16") and shape.form != "adapter":
        lines.append(f"Its weights are rounded to {shape.dtype}; figures were measured on those of its training.")
    return lines + [f"Of this export: {note}." for note in shape.notes]


def usage(artifact: Artifact, shape: Shape, scores: bool) -> str:
    """Lines that load it."""
    if shape.form == "gguf":
        return f"```sh\nllama-cli -m {artifact.stage}-{shape.dtype}.gguf\n```"
    if shape.form == "adapter":
        base = shape.base if hub_id(shape.base) else "the base that adapter_config.json names"
        return python("peft", "AutoPeftModelForCausalLM", f"on {base}")
    if scores:
        return python("transformers", "AutoModelForSequenceClassification", "score = (logit - score_shift) * score_scale: score.json")
    return python("transformers", "AutoModelForCausalLM", "and AutoTokenizer")


def python(package: str, name: str, comment: str) -> str:
    """Three lines of Python as a block of Markdown."""
    return f'```python\nfrom {package} import {name}\n\nmodel = {name}.from_pretrained("DIR")  # {comment}\n```'
