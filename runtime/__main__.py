"""The command line: ``./faultline COMMAND`` (or ``python -m runtime COMMAND``).

Commands live in ``runtime.commands``, one module each, and are imported when they run: ``--help`` needs none of them.
An error of ours ends in one clear line; a traceback is shown with ``--debug`` or where the error is a bug.
"""

import gc
import importlib
import sys
from collections.abc import Callable
from typing import Annotated, Any, Final

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from contracts.errors import ConfigurationError, FaultlineError

# The module of each command has its name (with _ for -); so has the function (or Typer application) in it.
COMMANDS: Final[dict[str, str]] = {
    "up": "Start everything, stream a source, show what is found; Ctrl-C stops it.",
    "play": "Stream recordings from a folder through the same path as live signals.",
    "diagnose": "Diagnose one recording: zone, fault-frequency table, verdict.",
    "features": "List the feature catalogue, and the features of your own.",
    "evaluate": "Say how often the product is right, on data with known truth.",
    "train": "Train a scoring model on healthy history, check its export, write it with its card.",
    "assets": "Import, list or show sites and assets.",
    "models": "Propose, review, stage, promote, roll back and compare scoring models.",
    "risk": "Rank the assets by health index and remaining life.",
    "prepare": "Bring database schema and topics of the environment's services up to date.",
    "recompute": "Compute the history of the log again and compare it with the database.",
    "dead-letters": "List refused records, show one, put them back once their cause is mended.",
    "replay": "Compute a past span of one asset again, with other rules or models, and compare it with history.",
    "worker": "Run one stream worker against the services of the environment.",
    "api": "Serve the API against the services of the environment.",
    "notify": "Deliver alarms to webhooks, signed and with retries.",
    "forwarder": "Collect from MQTT and OPC UA, keep on disk, forward to Kafka.",
    "source": "Stream the default scenario: two pumps, one with a developing fault.",
    "receiver": "Run the local webhook receiver that checks signatures.",
    "index": "Index documents for the assistant.",
    "bench": "Measure throughput and latency of the whole pipeline.",
    "doctor": "Say what this machine lacks, and how to get it.",
}


def load_command(name: str) -> Any:
    """Import the module of a command and return the command.

    Parameters
    ----------
    name : str
        One of ``COMMANDS``.

    Returns
    -------
    command : typer.core.TyperCommand or typer.core.TyperGroup
        Made of the module's function `name`, or of its Typer application of that name.

    Raises
    ------
    ConfigurationError
        This build doesn't have the command.
    """
    attribute = name.replace("-", "_")
    module_name = f"runtime.commands.{attribute}"
    gc.disable()  # importing makes a hundred thousand objects that stay; looking through them takes 0.2 s
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name:
            raise
        raise ConfigurationError(f"this build has no command {name!r}") from None
    finally:
        gc.enable()
    target: typer.Typer | Callable[..., Any] = getattr(module, attribute)
    if not isinstance(target, typer.Typer):
        single = typer.Typer(add_completion=False)
        single.command(name)(target)
        target = single
    return typer.main.get_command(target)


class _LazyCommand(TyperCommand):
    """A command that is known by name and one line until it runs."""

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> Any:
        return load_command(str(self.name)).make_context(info_name, args, *rest, **extra)


class _LazyGroup(TyperGroup):
    """All commands, and the one place where errors become exit statuses."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: _LazyCommand(name, help=line, callback=None) for name, line in COMMANDS.items()}

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except FaultlineError as error:
            if ctx.obj == "debug":
                raise
            print(f"faultline: {error}", file=sys.stderr)
            raise typer.Exit(2 if isinstance(error, ConfigurationError) else 1) from None


application = typer.Typer(
    name="faultline", cls=_LazyGroup, add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False
)


@application.callback()
def faultline(
    context: typer.Context,
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug logs.")] = False,
) -> None:
    """Turn raw machine signals into explained alarms."""
    from runtime.logging import configure_logging  # noqa: PLC0415 (keeps --help quick)
    from runtime.settings import keep_kernels_apart, load_settings  # noqa: PLC0415 (keeps --help quick)

    keep_kernels_apart()
    level = "debug" if debug else load_settings().log_level
    context.obj = level
    configure_logging(level)


def main() -> None:
    """Run the command line; ends the process."""
    application(prog_name="faultline")


if __name__ == "__main__":
    main()
