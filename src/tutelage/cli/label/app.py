"""The subcommands of `tutelage label`, in the order of its help."""

import typer

from tutelage.cli.label import bring, power, simulate, stats, take

app = typer.Typer(help="Have people judge, and see how far they agree.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def group() -> None:
    """Have people judge, and see how far they agree."""


app.command("import")(bring.command)
app.command("export")(take.command)
app.command("stats")(stats.command)
app.command("power")(power.command)
app.command("simulate")(simulate.command)
