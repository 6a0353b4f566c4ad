"""`bridge init`: a commented configuration for this host that passes `check`."""

import re
import socket
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.exits import Exit
from bridge.cli.output import error, note, out


def command(
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="Where to write it; default: standard output.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that exists.")] = False,
) -> int:
    """Write a commented configuration for this host.

    It takes a multicast group into a journal, and passes `check`.
    """
    text = sample()
    if file is None:
        out(text.rstrip("\n"))
        return Exit.DONE
    try:
        with file.open("w" if force else "x", encoding="utf-8") as target:
            target.write(text)
    except FileExistsError:
        error(f"{file} exists", "name another file, or use --force to overwrite it")
        return Exit.USAGE
    except OSError as failure:
        error(f"{file} cannot be written: {failure.strerror}", "name a file in a directory that you may write")
        return Exit.USAGE
    note(f"{file} written; `bridge check {file}` explains it, `bridge run {file}` runs it")
    return Exit.DONE


def sample(interface: str | None = None) -> str:
    """The text; lines are on `interface`, else on the first of this host that is up and can do multicast."""
    from bridge.api.iana import propose

    where = interface or multicast_interface()
    private = next(p.groups[0] for p in propose(1) if p.groups[0].startswith("239."))
    nic = f"%{where}" if where else ""
    return TEMPLATE.format(
        group=private, nic=nic, host=re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname()) or "bridge"
    )


def multicast_interface() -> str | None:
    """The first interface but loopback that is up and can do multicast, else None: then the kernel chooses."""
    for _, name in socket.if_nameindex():
        try:
            flags = int(Path(f"/sys/class/net/{name}/flags").read_text(), 16)
        except (OSError, ValueError):
            continue
        up, loopback, multicast = flags & 0x1, flags & 0x8, flags & 0x1000  # IFF_UP, IFF_LOOPBACK, IFF_MULTICAST
        if up and multicast and not loopback:
            return name
    return None


TEMPLATE = """\
# Multicast Bridge. `bridge check FILE` validates and explains this file, `bridge run FILE` runs it.
# All keys: docs/reference/config.md. Durations and sizes carry units: 250ms, 64MiB.

[bridge]
name = "${{HOSTNAME}}"                     # here: {host}
# state = "/var/lib/multicast-bridge"    # default: $STATE_DIRECTORY, else ~/.local/state/multicast-bridge/NAME
# admin = "127.0.0.1:9464"               # /metrics, /status, /healthz, /readyz; "" turns it off

# What is received. Without [source.feed.channel] tables the channel is called as the source: feed.
[source.feed]
type = "multicast"
protocol = "raw"                         # raw: a datagram is a message; native or moldudp64 number them (`bridge protocols`)
lines = ["{group}:5000{nic}"]            # a group for use inside an organisation; two lines, A and B, are two addresses
# receive_buffer = "32MiB"               # default 8MiB; the start-up line says what the kernel granted

# Where it goes: an embedded store, without a broker. `bridge read FILE store feed` shows what it holds.
[sink.store]
type = "journal"
path = "multicast-bridge-journal"        # a directory; made at the first run, relative to where the bridge is started
max_bytes = "10GiB"                      # max_age, max_bytes, max_messages: the oldest goes first

[route.main]
from = "feed"
to = ["store"]
# window = "disk"                        # what was received survives a killed bridge
# spool = "20GiB"                        # default 1GiB of disk while a sink is away; then `overload` decides
"""
