"""The command line: one file for each command, and what every command does with a mistake, a failure or Ctrl-C."""

import os
import sys

from tutelage.core.errors import Interrupted, UserError


def main(arguments: list[str] | None = None) -> None:
    """Run one command and leave with its exit code: 0 done; 1 the machine failed, run it again; 2 a mistake in what was given, said
    in one sentence on stderr, nothing written; 130 Ctrl-C. A fault of ours shows its traceback."""
    os.environ.setdefault("TQDM_DISABLE", "1")  # bars of libraries would tear our own line; before they are imported
    from tutelage.cli.app import app

    try:
        code = app(arguments, standalone_mode=False)
    except UserError as error:
        leave(2, str(error))
    except Interrupted as error:
        leave(1, f"{error}\nNothing that was finished is lost: the same command goes on from there.")
    except KeyboardInterrupt:
        leave(130, "\nStopped. The same command goes on from there.")
    except Exception as error:
        wrong_usage(error)
        raise
    if code == 130:  # the parser turns Ctrl-C into an exit code of its own
        leave(130, "\nStopped. The same command goes on from there.")
    sys.exit(code if isinstance(code, int) else 0)


def wrong_usage(error: Exception) -> None:
    """Leave for what the parser of the command line raises: unknown options, missing arguments, an interrupted question."""
    import typer

    if isinstance(error, typer.Abort):
        leave(130, "\nStopped. The same command goes on from there.")
    said = getattr(error, "format_message", None)  # typer brings its own copy of click's exceptions, without a public base class
    if said:
        leave(2, said())


def leave(code: int, text: str) -> None:
    """Say `text` on stderr and exit."""
    print(text, file=sys.stderr)
    sys.exit(code)
