"""The command ``headrace``."""

from __future__ import annotations

import sys
from tomllib import TOMLDecodeError

import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError
from rich.console import Console

from headrace.cli import audit, demo, doctor, engines, faults, jobs, objects, serve, topics, users
from headrace.cli.client import ApiError
from headrace.domain.errors import HeadraceError
from headrace.settings import Settings

app = typer.Typer(
    help="Apache Flink JAR jobs behind the Data Lake Insight (DLI) HTTP API, self-hosted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command("serve")(serve.serve)
app.command("down")(serve.down)
app.command("demo")(demo.demo)
app.command("faults")(faults.faults)
app.command("doctor")(doctor.doctor)
app.command("audit")(audit.audit)
app.add_typer(jobs.app, name="jobs", help="Jobs: list, show, events, explain, run, stop, delete, savepoint.")
app.add_typer(engines.app, name="engines", help="Installed Flink versions: list, install, verify, remove.")
app.add_typer(objects.app, name="objects", help="Objects in the server's buckets: put, get, ls.")
app.add_typer(topics.topics, name="topics", help="Whom notices of jobs go to: create, ls, rm, subscribe, publish …")
app.add_typer(topics.notices, name="notices", help="What became of notices: list, retry.")
app.add_typer(users.users, name="users", help="Users of the server: add, list, password, enable, disable, delete.")
app.add_typer(users.keys, name="keys", help="Access keys: add, list, remove.")
app.add_typer(users.projects, name="projects", help="Projects and their members: add, list, members.")


def main() -> None:
    """Runs the command; what a user did wrong is told in one line, without a stack trace."""
    try:
        app()
    except (HeadraceError, ApiError, demo.DemoFailed) as error:
        Console(stderr=True).print(f"error: {error}", highlight=False, markup=False, soft_wrap=True)
        sys.exit(1)
    except (SettingsError, TOMLDecodeError) as error:
        Console(stderr=True).print(f"error: the settings cannot be read: {error}", markup=False, soft_wrap=True)
        sys.exit(1)
    except (OSError, RuntimeError) as error:  # a file that is not there, a home that cannot be found out
        Console(stderr=True).print(f"error: {error}", markup=False, soft_wrap=True)
        sys.exit(1)
    except ValidationError as error:
        console = Console(stderr=True)
        for problem in error.errors():
            name = ".".join(str(part) for part in problem["loc"])
            # Of several settings together, or of one with a slip in its name, the input may hold a secret.
            given = f" (given: {_without_userinfo(repr(problem['input']))})" if name in Settings.tellable() else ""
            what = f"setting {name}" if name else "settings"
            console.print(f"error: {what}: {problem['msg']}{given}", markup=False)
        sys.exit(1)


def _without_userinfo(shown: str) -> str:
    """What is given for a URL may have a password in it, and be no URL: nothing up to the last "@" is shown."""
    before, at, rest = shown.rpartition("@")
    return f"{before[:1]}…{at}{rest}" if at else shown
