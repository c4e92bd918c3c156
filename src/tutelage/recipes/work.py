"""What a stage is handed when it runs: a folder that survives kills, what it reads, and where to say how far it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tutelage.core.artifact import Artifact
from tutelage.core.progress import Progress
from tutelage.recipes.decisions import Decisions
from tutelage.recipes.door import Door
from tutelage.recipes.sources import Input, Model


@dataclass(frozen=True)
class Work:
    """One stage's run. Parents and inputs are asked for by the *setting* that names them, as `parents()` returned it."""

    name: str
    """The stage's name in the recipe; `progress.stage` is usually called with it."""
    dir: Path
    """The artifact's own folder while it is being built. Files left by a killed process are still there: go on from them. The
    manifest is written here by the runner, last."""
    seed: int
    model: Model
    """The recipe's model."""
    decisions: Decisions
    """Threads, precision and machine, as decided when the run directory was made."""
    progress: Progress
    """Every tick's tokens also go into the stage's cost."""
    journal: Callable[[dict[str, Any]], None]
    """Append what can't be replayed (an answer by URL, a person's judgement), on disk before it returns."""
    run: Path = Path()
    """The run directory: for what stages share (kept answers). Everything else goes into `dir`."""
    recipe: str = ""
    """The recipe's name."""
    objective: Any = None
    """Where `method` names an objective: it, with its settings."""
    sources: Mapping[str, "Artifact | Input | Model | None"] = field(default_factory=dict)
    """By setting: what each of `parents()` stands for; None for an optional input that wasn't given."""
    spent: Callable[[], Mapping[str, float]] = dict
    """What the stage has cost so far: tokens, seconds, tokens_per_s, peak_rss."""
    door: Door = field(default_factory=Door)
    """How people reach a stage that waits for them."""
    whole: Mapping[str, Artifact] = field(default_factory=dict)
    """Every artifact made so far in this run of the recipe, by its stage: two stages of equal settings have one hash."""

    def parent(self, field: str) -> Artifact:
        """The artifact that the setting `field` names."""
        source = self.sources[field]
        if not isinstance(source, Artifact):
            raise TypeError(f"{self.name}.{field} names no stage but {type(source).__name__}")
        return source

    def input(self, field: str) -> Input:
        """The input that the setting `field` names."""
        source = self.sources[field]
        if not isinstance(source, Input):
            raise TypeError(f"{self.name}.{field} names no input but {type(source).__name__}")
        return source

    def start(self, field: str) -> Path | Model:
        """Weights to begin with: the `model` folder of the artifact that `field` names, or the recipe's own model."""
        source = self.sources[field]
        return source if isinstance(source, Model) else self.parent(field).path / "model"

    def hash_of(self, field: str) -> str:
        """Of what the setting `field` names: an artifact, or the recipe's own model."""
        source = self.sources[field]
        return source.hash if isinstance(source, Model) else self.parent(field).hash

    def above(self, artifact: Artifact) -> dict[str, Artifact]:
        """Every artifact that `artifact` was made from, directly or not, by stage."""
        found: dict[str, Artifact] = {}
        for parent in (self.whole[stage] for stage in artifact.parents):
            found |= {**self.above(parent), parent.stage: parent}
        return found
