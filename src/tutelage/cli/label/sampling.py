"""Responses of models to items that have none: each prompt answered once, kept beside the items, and never again.

    responses: {from: [runs/demo:sft, models/base], count: 4}        in study.yaml; models lie where the page's other files do

What was said to which prompt is appended to `ITEMS.responses-KEY.jsonl`, whose name holds a hash of this setting: rows that come later are
answered then, and what people have judged stays as they saw it. `ITEMS.sampled-KEY.jsonl`, the items with their responses, is made
from both at each start. Who said what stands in each response's `by`, which no page shows.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tutelage.cli import screen
from tutelage.cli.speaker import speaker
from tutelage.core.errors import UserError
from tutelage.core.files import write_atomic
from tutelage.core.rows import Record, read_rows, records
from tutelage.core.text import content_id
from tutelage.feedback.study.items import item
from tutelage.feedback.study.study import Responses, Study

AT_ONCE = 64
"""Prompts that are answered together."""


def answered(study: Study, folder: Path) -> Study:
    """The study, whose page lies in `folder`, with responses of each model wherever a row has none; sampled where that wasn't done yet.
    UserError for a model that isn't there, and for a prompt that is longer than a model holds."""
    asked = study.responses
    if asked is None:
        return study
    key = content_id("sampled", [*asked.from_], asked.count, asked.max_tokens, study.seed)
    stem = study.items.name.partition(".")[0]
    kept, made = (study.items.with_name(f"{stem}.{what}-{key}.jsonl") for what in ("responses", "sampled"))
    rows = [(row, item(row)) for row in records(study.items)]
    said = {line["prompt"]: line["responses"] for _, line in read_rows(kept)} if kept.exists() else {}
    fresh = {given.prompt.id: row for row, given in rows if not given.responses and given.prompt.id not in said}
    if fresh:
        said |= dict(zip(fresh, sampled(list(fresh.values()), asked, study.seed, folder), strict=True))
        write_atomic(kept, "".join(_line({"prompt": prompt, "responses": responses}) for prompt, responses in said.items()))
    lines = (row.values if given.responses else {**row.values, "responses": said[given.prompt.id]} for row, given in rows)
    write_atomic(made, "".join(map(_line, lines)))
    return replace(study, items=made)


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=False) + "\n"


def sampled(rows: Sequence[Record], asked: Responses, seed: int, folder: Path) -> list[list[dict[str, Any]]]:
    """For each row its responses, dealt over the models in turn."""
    models = len(asked.from_)
    shares = [asked.count // models + (n < asked.count % models) for n in range(models)]
    if 0 in shares:
        raise UserError(f"responses: {asked.count} responses can't come from {models} models; set count: {models} or more")
    models_at = [folder_of(name, folder) for name in asked.from_]  # all of them before the first is asked
    found: list[list[dict[str, Any]]] = [[] for _ in rows]
    with screen.progress() as shown:
        for name, at, share in zip(asked.from_, models_at, shares, strict=True):
            shown.stage(f"sampling from {name}", len(rows))
            for n, responses in enumerate(_of(name, at, rows, share, asked.max_tokens, seed, shown.note)):
                found[n] += responses
                shown.tick(n + 1, sum(len(response["text"].split()) for response in responses))
    return found


def folder_of(name: str, beside: Path) -> Path:
    """Of RUN:STAGE, or a folder; relative ones begin at `beside`. UserError where there is no model."""
    run, _, stage = name.rpartition(":")
    folder = screen.stage_of(beside / run, stage).path / "model" if run else beside / name
    if not (folder / "config.json").is_file():
        raise UserError(f"responses: {name}: no model here (config.json is missing); name RUN:STAGE or a model folder")
    if screen.scores(folder):
        raise UserError(f"responses: {name}: this model scores what others write; name one that writes")
    return folder


def _of(
    name: str, folder: Path, rows: Sequence[Record], share: int, max_tokens: int, seed: int, told: Callable[[str], None]
) -> Iterator[list[dict[str, Any]]]:
    from tutelage.models.loading import context  # here: most studies bring their responses, and need no torch
    from tutelage.models.sampling import Sampling

    held = context(folder)
    if max_tokens >= held:
        room = f"leaves no room for a prompt in its context of {held}; set max_tokens: {held // 2}"
        raise UserError(f"responses: {name}: max_tokens {max_tokens} {room}")
    sampler, render = speaker(folder, lambda note: told(f"{name}: {note}"), max_tokens)
    sampling = Sampling(max_tokens=max_tokens)
    for start in range(0, len(rows), AT_ONCE):
        prompts = [(row, item(row).prompt) for row in rows[start : start + AT_ONCE]]
        ids = [render.prompt(prompt, row.where) for row, prompt in prompts]
        addresses = [("study", seed, name, prompt.id, n) for _, prompt in prompts for n in range(share)]
        said = sampler.generate([one for one in ids for _ in range(share)], addresses, sampling)
        texts = [{"text": render.decode(s.ids).strip(), "by": name, "finished": s.finished} for s in said]
        yield from (texts[n * share : (n + 1) * share] for n in range(len(prompts)))
