"""Stages small enough to be killed a hundred times: each appends lines that depend on all lines before."""

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from annotated_types import Ge

from tutelage.core.files import JsonLines
from tutelage.recipes.stage import Context, Kind
from tutelage.recipes.work import Work


@dataclass(frozen=True)
class Chain:
    """`steps` links; link n is the hash of link n - 1, the parent's last link, and `word`."""

    revision: ClassVar[int] = 1
    produces: ClassVar[Kind] = "model"
    takes: ClassVar[Mapping[str, tuple[Kind, ...]]] = {"init": ("model",), "data": ("input", "nothing"), "more": ("model", "annotations")}

    init: str = "model"
    data: str | None = None
    more: tuple[str, ...] = ()
    steps: Annotated[int, Ge(1)] = 5
    word: str = "a"
    rate: float = 0.1
    pause: float = 0.0
    "Seconds per step."

    def parents(self) -> dict[str, str]:
        more = {f"more.{i}": name for i, name in enumerate(self.more)}
        return {"init": self.init, **more, **({"data": self.data} if self.data else {})}

    def check(self, context: Context) -> None:
        context.known("word", self.word, ("a", "b", "stop", "break"), "word")

    def run(self, work: Work) -> dict[str, Any]:
        links = JsonLines(work.dir / "links.jsonl")
        made = [row["link"] for row in links.read()]
        seed = "" if self.init == "model" else json.loads((work.start("init") / "links.json").read_text())[-1]
        work.progress.stage(work.name, self.steps)
        for step in range(len(made), self.steps):
            time.sleep(self.pause)
            if self.word == "stop":
                raise KeyboardInterrupt
            if self.word == "break":
                raise ZeroDivisionError("a real bug")
            made.append(hashlib.sha256(f"{seed}{made[-1:]}{self.word}{work.seed}".encode()).hexdigest())
            links.append([{"step": step, "link": made[-1]}])
            work.progress.tick(step + 1, 7, loss=1 / (step + 1))
        (work.dir / "model").mkdir(exist_ok=True)
        (work.dir / "model" / "links.json").write_text(json.dumps(made))
        return {"last": made[-1]}


@dataclass(frozen=True)
class Long(Chain):
    """Says that it is long, and isn't."""

    def expected_tokens(self, context: Context) -> int:
        return 10**15


@dataclass(frozen=True)
class Label:
    """Two annotators' annotations."""

    revision: ClassVar[int] = 1
    produces: ClassVar[Kind] = "annotations"
    takes: ClassVar[Mapping[str, tuple[Kind, ...]]] = {"policy": ("model",)}

    policy: str
    task: str = "ranking"

    def parents(self) -> dict[str, str]:
        return {"policy": self.policy}

    def check(self, context: Context) -> None: ...

    def run(self, work: Work) -> dict[str, Any]:
        work.journal({"judged": 3})
        return {"annotators": {"ann-01": 2, "ann-02": 1}}


@dataclass(frozen=True)
class Judge:
    """Learns from rankings."""

    revision: ClassVar[int] = 1
    produces: ClassVar[Kind] = "reward"
    takes: ClassVar[Mapping[str, tuple[Kind, ...]]] = {"preferences": ("annotations",)}
    tasks: ClassVar[tuple[str, ...]] = ("ranking", "pair")

    preferences: str
    without: tuple[str, ...] = ()

    def parents(self) -> dict[str, str]:
        return {"preferences": self.preferences}

    def check(self, context: Context) -> None: ...

    def run(self, work: Work) -> dict[str, Any]:
        given = work.parent("preferences").results["annotators"]
        return {"consumed": {name: n for name, n in given.items() if name not in self.without}}


@dataclass(frozen=True)
class Measure:
    """A report with made-up figures."""

    revision: ClassVar[int] = 1
    produces: ClassVar[Kind] = "report"
    takes: ClassVar[Mapping[str, tuple[Kind, ...]]] = {"models": ("model",)}

    models: tuple[str, ...]

    def parents(self) -> dict[str, str]:
        return {f"models.{i}": name for i, name in enumerate(self.models)}

    def check(self, context: Context) -> None: ...

    def run(self, work: Work) -> dict[str, Any]:
        from tutelage.evals.compare import compare_all
        from tutelage.evals.eval import Measure, Sample, measured
        from tutelage.evals.findings import Findings, StageNote
        from tutelage.evals.report import as_json

        measure = Measure("overall", "Overall")
        scores = {name: [(k + i) % 5 / 4 for k in range(9)] for i, name in enumerate(self.models)}
        results = tuple(measured(measure, m, [Sample(str(k), "", x, str(k)) for k, x in enumerate(scores[m])]) for m in self.models)
        notes = tuple(StageNote(name, "sft", parent) for name, parent in zip(self.models, ("", *self.models)))
        plain = {**as_json(Findings("small", notes, results, compare_all(results))), "sentence": "Made up."}
        (work.dir / "report.json").write_text(json.dumps(plain))
        (work.dir / "report.html").write_text("<p>Made up.")
        return {}


@dataclass(frozen=True)
class Asks:
    """Reads prompts."""

    revision: ClassVar[int] = 1
    produces: ClassVar[Kind] = "model"
    takes: ClassVar[Mapping[str, tuple[Kind, ...]]] = {"prompts": ("input",)}

    prompts: str
    too_long: str = "refuse"

    def parents(self) -> dict[str, str]:
        return {"prompts": self.prompts}

    def check(self, context: Context) -> None: ...

    def run(self, work: Work) -> dict[str, Any]:
        return {}
