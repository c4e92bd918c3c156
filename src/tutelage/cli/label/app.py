"""Every subcommand of `tutelage label`, in the order of its help."""

import typer

from tutelage.cli.label import bring, take

app = typer.Typer(help="What people say about answers: in, out.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def group() -> None:
    """What people say about answers: in, out."""


app.command("import")(bring.command)
app.command("export")(take.command)
