"""Every command, in the order of `tutelage --help`."""

from importlib.metadata import version
from typing import Annotated

import typer

from tutelage.cli import chat, clean, compare, data, doctor, export, lineage, moving, one, plan, prove, report, run
from tutelage.cli.label import app as label

app = typer.Typer(
    help="Fine-tune a language model, align it to people's judgements, and prove that it got better.\n\n"
    "Begin with:  tutelage run instructgpt --out runs/demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def tell(asked: bool) -> None:
    """Print the version and leave, where it was asked for."""
    if asked:
        print(f"tutelage {version('tutelage')}")
        raise typer.Exit


Asked = Annotated[bool, typer.Option("--version", callback=tell, is_eager=True, help="Show the version and leave.")]


@app.callback()
def common(asked: Asked = False) -> None:
    """What goes before a command."""


app.command("run")(run.command)
app.command("sft")(one.sft)
app.command("reward")(one.reward)
app.command("dpo")(one.dpo)
app.command("ppo")(one.ppo)
app.command("grpo")(one.grpo)
app.command("import", context_settings=moving.LEAVE)(moving.command)
app.command("plan")(plan.command)
app.command("doctor")(doctor.command)
app.add_typer(data.app, name="data")
app.add_typer(label.app, name="label")
app.command("compare")(compare.command)
app.command("report")(report.command)
app.command("lineage")(lineage.command)
app.command("chat")(chat.command)
app.command("export")(export.command)
app.command("prove")(prove.command)
app.command("clean")(clean.command)
