"""The program `bridge`, also installed as `multicast-bridge`: finds the verb, imports its file, turns errors into statuses."""

import functools
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup

from bridge import __version__
from bridge.cli.exits import Exit

VERBS: Final[dict[str, str]] = {
    "run": "verbs:run",
    "check": "check:command",
    "send": "send:command",
    "listen": "listen:command",
    "read": "read:command",
    "status": "status:command",
    "addresses": "verbs:addresses",
    "connectors": "connectors:command",
    "protocols": "protocols:command",
    "init": "init:command",
    "schema": "schema:command",
}
"""Each verb with its file in `bridge/cli` and its function there, in the order in which `--help` lists them."""

_UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""What the parser raises: its class is public under no name that all versions of typer share."""


class _Verbs(TyperGroup):
    """Imports a verb's file when the verb is used, or when help or completion asks what it is."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - the parser's signature
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - as above
        if cmd_name not in VERBS:
            return None
        file, _, function = VERBS[cmd_name].partition(":")
        command = getattr(import_module(f"bridge.cli.{file}"), function)
        verb = typer.Typer(add_completion=False, rich_markup_mode=None)
        verb.command(cmd_name)(_ended(command))
        return typer.main.get_command(verb)


def _ended(command: Callable[..., Any]) -> Callable[..., Any]:
    """`command` as the parser needs it: a closed pipe and an interrupt are ordinary ends."""

    @functools.wraps(command)
    def verb(*arguments: Any, **options: Any) -> int:
        try:
            return int(command(*arguments, **options) or 0)
        except (BrokenPipeError, KeyboardInterrupt):
            return Exit.DONE

    # what `wraps` leaves to inspection is resolved here, in the verb's own module
    verb.__signature__ = inspect.signature(command, eval_str=True)  # type: ignore[attr-defined] # functions allow it
    return verb


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"multicast-bridge {__version__}\n")
        raise typer.Exit


app = typer.Typer(
    cls=_Verbs,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _bridge(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Connects UDP multicast with message brokers, both ways, and loses nothing silently."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; the exit status. The console scripts hand it to `sys.exit`."""
    try:
        status = _parsed(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except BrokenPipeError:
        # nobody reads what is left: keep the interpreter from saying so when it flushes at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = Exit.DONE
    return status


def _parsed(arguments: list[str]) -> int:
    try:
        result = typer.main.get_command(app)(args=arguments, prog_name=_program(), standalone_mode=False)
    except _UsageError as failure:
        return _usage(failure, arguments)
    except (typer.Abort, KeyboardInterrupt):
        return Exit.DONE
    except BrokenPipeError:
        raise
    except Exception as failure:
        from bridge.cli.failures import ended_by

        return ended_by(failure)
    return result if isinstance(result, int) else Exit.DONE


def _usage(failure: Exception, arguments: list[str]) -> int:
    from bridge.cli.output import error

    message = failure.format_message() if hasattr(failure, "format_message") else str(failure)
    if not arguments:  # the message is the help itself
        sys.stderr.write(f"{message}\n")
        return Exit.USAGE
    message = message.removeprefix("Invalid value: ")
    context = getattr(failure, "ctx", None)
    path = getattr(context, "command_path", _program())
    verb = next((argument for argument in arguments if not argument.startswith("-")), "")
    near = [] if verb in VERBS else get_close_matches(verb, VERBS, n=1)
    hint = f"did you mean `{_program()} {near[0]}`?" if near else f"`{path} --help` shows what it takes"
    error(message[:1].lower() + message[1:].rstrip("."), hint)
    return Exit.USAGE


def _program() -> str:
    name = os.path.basename(sys.argv[0])
    return name if name in ("bridge", "multicast-bridge") else "bridge"


if __name__ == "__main__":
    sys.exit(main())
