"""`tutelage chat`: talk to a stage of a run."""

from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import screen
from tutelage.cli.speaker import speaker
from tutelage.core.errors import UserError
from tutelage.core.text import Message, Prompt


def command(
    path: Annotated[Path, typer.Argument(metavar="RUN_OR_MODEL", help="A run directory, or a model folder in transformers' format.")],
    stage: Annotated[str, typer.Argument(help="A stage of the run.")] = "",
    say: Annotated[str, typer.Option(help="Say this, print the answer, and leave.")] = "",
    temperature: Annotated[float, typer.Option(min=0.0, help="0 takes the likeliest word; 1 samples the model as it is.")] = 0.7,
    max_tokens: Annotated[int, typer.Option(min=1, help="Length at which an answer is cut.")] = 64,
    seed: Annotated[int, typer.Option(help="Another seed gives other answers.")] = 0,
) -> None:
    """Talk to a model.

    A line is a turn, an empty line begins a new conversation, Ctrl-D ends.
    """
    folder = screen.stage_of(path, stage).path / "model" if stage else path
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: no model here (config.json is missing); name a stage that trains one, or a model folder")
    if screen.scores(folder):
        raise UserError(f"{folder}: this is a reward or value model: it scores what others write; name a stage that writes")
    talk = Talk(folder, temperature, max_tokens, seed)
    if say:
        print(talk.answer(say))
        return
    while (line := heard()) is not None:
        if line:
            screen.say(talk.answer(line))
        else:
            talk.messages = ()
            screen.say("(a new conversation)")


def heard() -> str | None:
    """The next line; None at the end."""
    try:
        return input("> ").strip()
    except EOFError:
        return None


class Talk:
    """A conversation and the model that has it."""

    def __init__(self, folder: Path, temperature: float, max_tokens: int, seed: int) -> None:
        from tutelage.models.sampling import Sampling

        self.sampler, self.renderer = speaker(folder, lambda note: screen.notes.print(note, soft_wrap=True))
        self.sampling = Sampling(temperature=temperature, max_tokens=max_tokens)
        self.seed = seed
        self.messages: tuple[Message, ...] = ()

    def answer(self, said: str) -> str:
        """The model's next turn, which then belongs to the conversation."""
        self.messages += (Message("user", (said,)),)
        prompt = Prompt(self.messages)
        sampled = self.sampler.generate([self.renderer.prompt(prompt)], [("chat", self.seed, prompt.id)], self.sampling)[0]
        text = self.renderer.decode(sampled.ids).strip()
        self.messages += (Message("assistant", (text,)),)
        return text if sampled.finished else f"{text} ..."
