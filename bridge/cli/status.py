"""`bridge status [CONFIG or URL]`: asks the running bridge and shows the way of the messages, from line to sink."""

import json
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Annotated, Any

import typer

from bridge.api import Unavailable
from bridge.cli.arguments import load_config
from bridge.cli.output import out

DEFAULT = "http://127.0.0.1:9464"
TIMEOUT = 10.0
"""Seconds for the whole answer; the bridge makes it beside its work."""
MAX_ANSWER = 256 * 2**20


def command(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[CONFIG or URL]", help=f"Whose `admin` is asked; default {DEFAULT}.", show_default=False
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The snapshot as JSON (`bridge schema summary`).")] = False,
) -> int:
    """Show the running bridge, from its lines to its sinks."""
    body = _fetch(_url(target))
    if as_json:
        out(json.dumps(body, indent=2))
        return 0
    from pydantic import ValidationError

    from bridge.cli.status_text import lines
    from bridge.telemetry.status import Status

    if body.get("format") != 1:
        raise Unavailable(
            f"the bridge answers in status format {body.get('format')}, this version reads 1",
            hint="use the `bridge` of its version, or --json",
        )
    known = {key: value for key, value in body.items() if key in Status.model_fields}
    try:
        out(lines(Status.model_validate(known)))
    except ValidationError:
        raise Unavailable("the bridge answers with fields that this version does not know", hint="use --json") from None
    return 0


def _url(target: str | None) -> str:
    if target is None:
        return f"{DEFAULT}/status"
    if re.match(r"https?://", target):
        return target if target.rstrip("/").endswith("/status") else f"{target.rstrip('/')}/status"
    if not Path(target).exists() and re.fullmatch(r"[^/]+:\d+", target):
        return f"http://{target}/status"
    admin = load_config(Path(target)).bridge.admin
    if admin is None:
        raise Unavailable(f'{target} sets admin = ""', hint="set `admin` in [bridge], or name the URL")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(admin.host, admin.host)  # noqa: S104 - compared, not bound
    return f"http://{admin._replace(host=host)}/status"


def _fetch(url: str) -> dict[str, Any]:
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # admin is never behind a proxy
        with opener.open(url, timeout=TIMEOUT) as answer:
            body = json.loads(answer.read(MAX_ANSWER))
    except urllib.error.HTTPError as error:
        what = "`allow` in [bridge] says who may ask" if error.code == 403 else "is it a bridge that answers there?"
        raise Unavailable(f"{url} answers {error.code} {error.reason}", hint=what) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        hint = "is the bridge running? `admin` in [bridge] is where it answers"
        raise Unavailable(f"no status from {url}: {reason}", hint=hint) from None
    if not isinstance(body, dict):
        raise Unavailable(f"{url} is no bridge: it answers with {type(body).__name__}")
    return body
