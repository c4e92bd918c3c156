"""The subcommands of `tutelage label`, in the order of its help."""

import typer
from typer.core import TyperGroup

from tutelage.cli.label import bring, erase, hooks, invite, power, serve, simulate, stats, take


class OrStudy(TyperGroup):
    """`tutelage label study.yaml` is `tutelage label serve study.yaml`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        """A first word that is no subcommand, but ends like a study's page, is one."""
        first = args[0] if args else ""
        return super().parse_args(ctx, ["serve", *args] if first not in self.commands and first.endswith((".yaml", ".yml")) else args)


app = typer.Typer(cls=OrStudy, help="Have people judge, and see how far they agree.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def group() -> None:
    """Have people judge, and see how far they agree."""


app.command("serve")(serve.command)
app.command("invite")(invite.command)
app.command("hooks")(hooks.command)
app.command("erase")(erase.command)
app.command("import")(bring.command)
app.command("export")(take.command)
app.command("stats")(stats.command)
app.command("power")(power.command)
app.command("simulate")(simulate.command)
