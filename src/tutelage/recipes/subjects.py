"""From artifacts to what evals can ask: each stage's model with its parent, its judge, its curve, and what it is measured on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch

from tutelage.core.artifact import Artifact
from tutelage.core.files import JsonLines
from tutelage.core.text import Prompt
from tutelage.evals.answers import Kept
from tutelage.evals.eval import Material, Pair
from tutelage.evals.probe import graded_rows
from tutelage.evals.reward_accuracy import gold_pairs
from tutelage.evals.skills import of_world
from tutelage.evals.subject import Artifact as Subject
from tutelage.feedback import tasks
from tutelage.feedback.signals import Preference
from tutelage.models import weights
from tutelage.models.attention import SEPARATE
from tutelage.models.device import here
from tutelage.models.loading import context, load_role
from tutelage.models.policy import Policy
from tutelage.models.readable import attention_for
from tutelage.models.roles import causal, place
from tutelage.models.sampling import Sampling
from tutelage.models.speaking import voice
from tutelage.recipes import material
from tutelage.recipes.decisions import Decisions
from tutelage.recipes.sources import Input
from tutelage.recipes.training import fitting
from tutelage.recipes.work import Work
from tutelage.synthetic import items
from tutelage.synthetic.gold import Gold, opened
from tutelage.synthetic.scores import Scores

T = TypeVar("T")


def grader(seed: int) -> Callable[[Prompt, str, bool], Scores]:
    """The truth, opened for the evaluation."""
    truth = Gold(seed)

    def grade(prompt: Prompt, text: str, finished: bool) -> Scores:
        with opened("evaluate"):
            return truth.scores(prompt, text, finished)

    return grade


def measured_on(sources: Mapping[str, Input], seed: int, count: int) -> Material:
    """What every stage is measured on, from the inputs that are given: prompts of the eval split, text and demonstrations that no
    stage learns from."""
    prompts, text, shown = (sources.get(name) for name in ("prompts", "text", "demonstrations"))
    village = prompts if prompts and prompts.synthetic is not None else None
    return Material(
        prompts=tuple(material.prompts(prompts, "eval", seed)[:count]) if prompts else (),
        heldout=tuple(items.prompts(count // 3, village.seed, "heldout")) if village else (),
        documents=tuple(material.held_out_documents(text)) if text else (),
        demonstrations=tuple(material.held_out_demonstrations(shown)) if shown else (),
        cloze=tuple(of_world(240, village.seed)) if village else (),
        pairs=tuple(_given_pairs(sources["preferences"])) if "preferences" in sources else (),
        grade=grader(village.seed) if village else None,
    )


def _given_pairs(source: Input) -> list[Pair]:
    """Held-out rows of a user's preferences; clustered by the conversation's first turn."""
    pairs: list[Pair] = []
    for a in material.preferences(source, "eval"):
        signals = [s for s in tasks.signals_of(a) if isinstance(s, Preference)]
        pairs += [Pair(a.prompt, a.responses[s.winner], a.responses[s.loser], 1.0, material.first_turn(a.prompt)) for s in signals]
    return pairs


class Subjects:
    """Every artifact of a run as a subject; each is made once, its weights are loaded when needed."""

    def __init__(self, work: Work, on: Material, sampling: Sampling, heard: Callable[[int], None]) -> None:
        self.work, self.on, self.sampling, self.heard = work, on, sampling, heard
        self.kept = Kept(work.run / "answers")
        self.made: dict[str, Subject] = {}
        self.slow: set[str] = set()

    def of(self, artifact: Artifact) -> Subject:
        """The subject of an artifact, with those of its parent and judge."""
        if artifact.stage not in self.made:
            parents = {stage: self.work.whole[stage] for stage in artifact.parents}
            kind, settings = ("reward" if (artifact.path / "model" / "score.json").exists() else "policy"), artifact.settings
            init, judge = parents.get(str(settings.get("init"))), parents.get(str(settings.get("reward_model")))
            self.made[artifact.stage] = self._subject(artifact.stage, artifact.path / "model", str(artifact.results["weights"]), kind)
            self.made[artifact.stage] = replace(
                self.made[artifact.stage],
                parent=self._parent(init, settings),
                judge=self.of(judge) if judge else None,
                curve=self.curve(artifact),
            )
        return self.made[artifact.stage]

    def _parent(self, init: Artifact | None, settings: Mapping[str, object]) -> Subject | None:
        """What an artifact began as: another one, or the recipe's own model where that was given."""
        if init is not None:
            return self.of(init) if (init.path / "model").is_dir() else None
        own = self.work.model.path if settings.get("init") == "model" else None
        return self.folder("model", own) if own else None

    def folder(self, name: str, path: Path) -> Subject:
        """The recipe's own model."""
        if name not in self.made:
            model, _ = weights.load(path)
            self.made[name] = self._subject(name, path, weights.weights_hash(model), "policy")
        return self.made[name]

    def with_pairs(self, policy: Subject, prompts: int, samples: int) -> None:
        """Pairs of a policy's own answers whose truth differs, for the reward models to be tested on."""
        grade, asked = self.on.grade, self.on.prompts[:prompts]
        if grade is None or self.on.pairs or not asked:
            return
        pairs = gold_pairs(asked, policy.answers(asked, samples), lambda p, text, done: grade(p, text, done).overall)
        self._use(replace(self.on, pairs=pairs))

    def leave_out_too_long(self, subject: Subject) -> None:
        """Keep what leaves room for an answer in the context of `subject`; how much was left out is noted."""
        on, room = self.on, self.sampling.max_tokens

        def kept(rows: Sequence[T], prompt: Callable[[T], Prompt], room: int = 1) -> tuple[T, ...]:
            return tuple(fitting(self.work, rows, prompt, subject.renderer, "leave_out", room)) if rows else ()

        prompts, heldout = (kept(rows, lambda p: p, room) for rows in (on.prompts, on.heldout))
        pairs, shown = kept(on.pairs, lambda pair: pair.prompt), kept(on.demonstrations, lambda row: row.prompt)
        self._use(replace(on, prompts=prompts, heldout=heldout, pairs=pairs, demonstrations=shown))

    def _use(self, on: Material) -> None:
        self.on = on
        self.made = {name: replace(subject, material=on) for name, subject in self.made.items()}

    def curve(self, artifact: Artifact) -> list[dict[str, object]]:
        """What the stage's probes saw, graded now."""
        looks, grade = JsonLines(artifact.path / "probes.jsonl").read(), self.on.grade
        if not looks:
            return []
        by_id = {prompt.id: prompt for prompt in self.on.prompts}
        known = all(name in by_id for name in looks[0]["prompts"])
        truth = (lambda p, text, done: grade(p, text, done).overall) if grade and known else None
        return graded_rows(looks, by_id, truth)

    def _subject(self, stage: str, path: Path, hash_: str, kind: str) -> Subject:
        def told(note: str) -> None:
            self._told(stage, note)

        from_disk = _loader(path, self.work.decisions, told)
        size = context(path)
        return Subject(
            stage,
            hash_,
            from_disk,
            self.kept,
            self.on,
            "reward" if kind == "reward" else "policy",
            self.sampling,
            self.work.seed,
            size,
            heard=self.heard,
        )

    def _told(self, stage: str, note: str) -> None:
        """Of an artifact that speaks slowly; said once, however often it is loaded."""
        if stage not in self.slow:
            self.slow.add(stage)
            self.work.progress.note(f"{self.work.name}: {stage}: {note}")


def _loader(path: Path, how: Decisions, told: Callable[[str], None]) -> Callable[[], Policy]:
    def load() -> Policy:
        torch.set_num_threads(how.threads)
        role, words = load_role(path, torch.float32)
        place(role, here(how.device))
        if role.head is None and (note := voice(causal(role.network)).note):
            told(note)
        attention, _ = attention_for([causal(role.network)], "auto")
        return Policy({"policy": role}, words, "float32" if attention == SEPARATE else how.precision, attention)

    return load
