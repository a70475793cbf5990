"""``headrace objects``: what lies in the buckets of the server, from which jobs take their JARs and files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from headrace.cli.client import ApiClient
from headrace.domain.places import bare
from headrace.objects.paths import ObjectRef, check_bucket, parse_object
from headrace.settings import load_settings

app = typer.Typer(help="Put, get and list objects in the server's buckets.", no_args_is_help=True)

HomeOption = Annotated[Path | None, typer.Option("--home", help="Folder with all state of the server.")]
TARGET_HELP = "obs://bucket/path/file; with a / at its end, the local file's name is added."


@app.command()
def put(
    source: Annotated[
        Path, typer.Argument(metavar="LOCAL", exists=True, dir_okay=False, readable=True, help="File to upload.")
    ],
    target: Annotated[str, typer.Argument(metavar="OBJECT", help=TARGET_HELP)],
    *,
    create_bucket: Annotated[bool, typer.Option("--create-bucket", help="Make the bucket if there is none.")] = False,
    home: HomeOption = None,
) -> None:
    """Upload a file."""
    wanted = parse_object(target + source.name if target.endswith("/") else target, "OBJECT")
    client = _client(home)
    if create_bucket:
        client.create_bucket(wanted.bucket)
    client.upload(source, wanted.bucket, wanted.key)
    typer.echo(f"{wanted} ({source.stat().st_size} bytes)")


@app.command()
def get(
    source: Annotated[str, typer.Argument(metavar="OBJECT", help="obs://bucket/path/file")],
    target: Annotated[
        Path | None, typer.Argument(metavar="LOCAL", help="File or folder; else the object's name.")
    ] = None,
    *,
    home: HomeOption = None,
) -> None:
    """Download an object; an existing file is replaced, once all has come."""
    wanted = parse_object(source, "OBJECT")
    file = target or Path(wanted.name)
    if file.is_dir():
        file /= wanted.name
    part = file.with_name(f"{file.name}.part")
    try:
        with part.open("wb") as output:
            for chunk in _client(home).download(wanted.bucket, wanted.key):
                output.write(chunk)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    typer.echo(str(file))


@app.command()
def ls(
    place: Annotated[
        str, typer.Argument(metavar="PLACE", help="obs://bucket, with or without the beginning of a path.")
    ] = "",
    *,
    home: HomeOption = None,
) -> None:
    """List objects, or all buckets; one a line: bytes, name."""
    client = _client(home)
    bucket, _, prefix = bare(place).partition("/")
    if not bucket:
        for name in client.call("GET", "/headrace/v1/{p}/buckets")["buckets"]:
            typer.echo(f"obs://{name}")
        return
    path = f"/headrace/v1/{{p}}/objects/{quote(check_bucket(bucket, 'PLACE'))}"
    after = ""
    while True:
        page: dict[str, Any] = client.call("GET", path, query={"prefix": prefix, "after": after})
        for found in page["objects"]:
            after = found["key"]
            typer.echo(f"{found['size']:>12} {ObjectRef(bucket, after)}")
        if not page["more"]:
            return


def _client(home: Path | None) -> ApiClient:
    return ApiClient.of_user(load_settings(home).home)
