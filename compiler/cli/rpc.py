"""``weft rpc hub``, ``serve`` and ``list``: devices for clients elsewhere, and who is there."""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import secrets
import signal
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...ir.target import HOST, split_targets
from ...runtime import knobs
from ...runtime.errors import InputError
from ...runtime.forks import load_module
from ...runtime.private import write_new
from ...runtime.rpc.protocol import DEFAULT_KEY, DEFAULT_PORT
from .arguments import Parser, byte_count, filename, token_options
from .remote import read_token, token_of
from .streams import say

if TYPE_CHECKING:
    from ...runtime.rpc.host import HubServer

_LOOPBACK, _ANYWHERE = "127.0.0.1", "0.0.0.0"

EXAMPLES = """\
A hub brings devices and clients together. Devices are browsers that open the link which the hub
prints, and machines with 'weft rpc serve'. A client asks for a device by its key.

examples:
  weft rpc hub
  weft rpc serve ws://127.0.0.1:9190 --key cpu --token-file hub.token
  weft rpc list ws://127.0.0.1:9190 --token-file hub.token
  weft run model.onnx --target webgl --rpc ws://127.0.0.1:9190 --key chrome

docs/RPC.md says more.
"""
_HUB = """\
Serve a hub until it is interrupted. It prints its link, which has the token: a browser that opens
it is a device, and clients and other devices are given the link or the token, too."""
_HUB_MORE = """\
What the token is good for: whoever has it can have programs run on all devices of the hub. In a
browser they stay inside of its page; 'weft rpc serve' runs machine code with the rights of whoever
started it. Devices of the hub see what clients send to them. Give it to nobody else.

examples:
  weft rpc hub                                       # for this machine alone
  weft rpc hub --token-file ~/hub.token              # the same token after the next start
  weft rpc hub --public --certificate c.pem --private-key k.pem   # phones and other machines"""
_SERVE = """\
Be a device of a hub until interrupted: this machine's processor and drivers. It connects again by
itself when the hub comes back. Each client has a process of its own, which ends with it.

Clients run machine code here, with your rights: serve hubs whose clients you trust."""


def add_parser(sub: argparse._SubParsersAction, raw: type) -> None:
    """The words of the command lines."""
    top: Parser = sub.add_parser(
        "rpc", help="run elsewhere: in a browser, on another machine", formatter_class=raw,
        description="Bring devices elsewhere together with who wants to use them.", epilog=EXAMPLES,
    )  # fmt: skip
    commands = top.add_subparsers(dest="rpc_command", required=True, metavar="COMMAND")
    _add_hub(commands, raw)

    p: Parser = commands.add_parser(
        "serve", help="make a device of this machine", description=_SERVE, formatter_class=raw,
        epilog="example:\n  weft rpc serve ws://lab:9190 --key board --targets llvm,opencl "
        "--token-file hub.token",
    )  # fmt: skip
    _url(p)
    p.add_argument(
        "--key", default=DEFAULT_KEY,
        help=f"what clients ask for; several devices may have the same (default: {DEFAULT_KEY})",
    )  # fmt: skip
    p.add_argument(
        "--targets", default=HOST, metavar="KIND,...",
        help=f"the kinds of targets to run (default: {HOST}; 'weft targets' says what runs here)",
    )  # fmt: skip
    token_options(p)
    p.set_defaults(run=serve_device)

    p = commands.add_parser(
        "list", help="show who is there", formatter_class=raw,
        description="Show the devices of a hub, their clients, and who waits for one.",
        epilog="example:\n  weft rpc list ws://127.0.0.1:9190 --token-file hub.token",
    )  # fmt: skip
    _url(p)
    p.add_argument("--json", action="store_true", help="as JSON, for programs")
    token_options(p)
    p.set_defaults(run=list_devices)


def _url(p: Parser) -> None:
    p.add_argument(
        "url", metavar="URL", help="the hub: ws://HOST:PORT, or the link that it printed"
    )


def _add_hub(commands: argparse._SubParsersAction, raw: type) -> None:
    p: Parser = commands.add_parser(
        "hub", help="bring devices and clients together", description=_HUB, epilog=_HUB_MORE,
        formatter_class=raw,
    )  # fmt: skip
    p.add_argument(
        "--host", help=f"where to listen (default: {_LOOPBACK}, which other machines cannot reach; "
        "with --public: everywhere)",
    )  # fmt: skip
    p.add_argument(
        "--port", type=int, default=DEFAULT_PORT,
        help=f"default: {DEFAULT_PORT}; 0: any free one",
    )  # fmt: skip
    p.add_argument("--public", action="store_true", help="let other machines reach it")
    p.add_argument(
        "--name", action="append", default=[], metavar="HOST:PORT",
        help="another name by which it is called, such as that of a proxy; may be repeated",
    )  # fmt: skip
    p.add_argument(
        "--certificate",
        type=filename,
        metavar="FILE",
        help="speak TLS, with this one (PEM)",
    )
    p.add_argument(
        "--private-key", type=filename, metavar="FILE",
        help="the certificate's key (default: in the same file)",
    )  # fmt: skip
    p.add_argument(
        "--token-file", type=filename, metavar="FILE",
        help="the token; a file that is not there is made, with a random one, for this user alone "
        "(default: WEFT_RPC_TOKEN, else a new one at each start)",
    )  # fmt: skip
    p.add_argument(
        "--limit", type=byte_count, default=1 << 30, metavar="BYTES",
        help="the largest message that passes, such as 512M (default: 1G)",
    )  # fmt: skip
    p.add_argument(
        "--qr", action=argparse.BooleanOptionalAction, default=None,
        help="draw the link as a QR code (default: on a terminal)",
    )  # fmt: skip
    p.counts_if(("private_key",), lambda a: a.certificate, "it needs --certificate FILE")
    p.set_defaults(run=run_hub)


# ---- weft rpc hub -------------------------------------------------------------------------------


def run_hub(args: argparse.Namespace) -> int:
    """``weft rpc hub``: until SIGTERM, or Ctrl-C."""
    from ...runtime.rpc.host import HubServer

    server = HubServer(
        args.host or (_ANYWHERE if args.public else _LOOPBACK), args.port, public=args.public,
        names=tuple(args.name), certificate=args.certificate, private_key=args.private_key,
        token=_token_of_hub(args.token_file), limit=args.limit,
    )  # fmt: skip
    if asyncio.run(_until_signalled(server, args)) == signal.SIGINT:
        raise KeyboardInterrupt
    return 0


def _token_of_hub(file: str | None) -> str | None:
    if file is None:
        return knobs.rpc_token() or None
    if not Path(file).exists():
        try:
            write_new(Path(file), f"{secrets.token_urlsafe(24)}\n".encode())
        except OSError as e:
            raise InputError(
                f"the token cannot be written: {e.strerror or e}.", where=file,
                hint="name a file in a folder of yours",
            ) from None  # fmt: skip
    return read_token(file)


async def _until_signalled(server: HubServer, args: argparse.Namespace) -> int:
    """Serve until SIGINT or SIGTERM comes; which it was."""
    loop, stop, came = asyncio.get_running_loop(), asyncio.Event(), [0]

    def signalled(number: int) -> None:
        came[0] = came[0] or number
        stop.set()

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, signalled, number)
    ready: Future[Any] = Future()
    serving = asyncio.create_task(server.run(ready, stop))
    await asyncio.wait({serving, asyncio.wrap_future(ready)}, return_when=asyncio.FIRST_COMPLETED)
    if not serving.done():
        _introduce(server, args)
    await serving
    return came[0]


def _introduce(server: HubServer, args: argparse.Namespace) -> None:
    """Print the links, alone on standard output, and say what they are for."""
    links = server.links()
    say("open the link in a browser to make a device of it (?key=NAME at its end is its key):")
    for link in links:
        print(f"  {link}", flush=True)
    if args.qr or (args.qr is None and _shows_blocks(sys.stdout)):
        _draw(links[0])
    token = f" --token-file {args.token_file}" if args.token_file else ""
    say(
        f"\nclients and other devices need the address and the token"
        f"{'' if token else ' (WEFT_RPC_TOKEN, --token-file)'}, or the whole link:\n"
        f"  weft rpc list {server.url}{token}\n"
        f"  weft rpc serve {server.url} --key cpu{token}\n"
        f"  weft run model.onnx --target webgl --rpc {server.url}{token}\n"
        f"the page LINK/status shows who is there\n\n{exposure(server)}"
    )
    say("Ctrl-C ends it")


def exposure(server: HubServer) -> str:
    """Who can reach a hub, and what for."""
    if not server.public:
        return (
            "This machine alone can reach it. Whoever has the token can have programs run on its\n"
            "devices. --public lets other machines in."
        )
    text = (
        "OTHER MACHINES CAN REACH IT. Whoever has the token can have programs run on its devices:\n"
        "inside of a page in browsers, machine code with your rights in 'weft rpc serve'."
    )
    if server.secure:
        return text
    return (
        f"{text}\nWithout --certificate, whoever sees the network sees the token and all data;\n"
        "and browsers elsewhere have no WebGPU and no threads of WebAssembly: they give both to\n"
        "pages of https:// and of localhost."
    )


def _shows_blocks(stream: Any) -> bool:
    return stream.isatty() and (stream.encoding or "").lower().replace("-", "") == "utf8"


def _draw(link: str) -> None:
    """The link as a QR code, if the package for it is there."""
    try:
        lines = qr_code(link)
    except ImportError:
        say("(a QR code of it needs the package segno: pip install 'weft[rpc]')")
        return
    print()
    for line in lines:
        print(line)
    print(flush=True)


def qr_code(text: str) -> list[str]:
    """The lines of a QR code on a terminal, white on black whatever its colours are.

    Raises ImportError without ``segno``."""
    segno = load_module("segno")
    drawn = io.StringIO()
    segno.make(text, error="l", micro=False).terminal(drawn, compact=True)
    return [f"\x1b[97;40m{line}\x1b[0m" for line in drawn.getvalue().splitlines()]


# ---- weft rpc serve, list -----------------------------------------------------------------------


def serve_device(args: argparse.Namespace) -> int:
    """``weft rpc serve``: until SIGTERM, or Ctrl-C."""
    from ...runtime.rpc.serve import serve
    from ...runtime.rpc.stream import Address

    address = Address.parse(args.url, token_of(args), args.certificate)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _leave)
    serve(address, args.key, split_targets(args.targets), say)
    return 0


def _leave(number: int, frame: object) -> None:
    raise SystemExit(0)  # the process of a session is ended on the way out


def list_devices(args: argparse.Namespace) -> int:
    """``weft rpc list``."""
    from ...runtime.rpc.stream import Address

    said = Address.parse(args.url, token_of(args), args.certificate).json("list")
    print(json.dumps(said, indent=2) if args.json else table(said))
    return 0


def table(said: Mapping[str, Any]) -> str:
    """Who is there, as a hub lists it, in columns."""
    rows = [("key", "state", "since", "targets", "device")]
    for d in said["devices"]:
        state = f"used by {d['client']}" if d["client"] else "free"
        rows.append((d["key"], state, _time(d["seconds"]), ",".join(d["targets"]), d["name"]))
    lines = []
    if len(rows) > 1:
        widths = [max(len(r[c]) for r in rows) for c in range(4)]
        lines = ["  ".join([*(t.ljust(w) for t, w in zip(r, widths)), r[4]]) for r in rows]
    else:
        lines = ["no device is there: open the hub's link in a browser, or weft rpc serve"]
    lines += [f"waiting for '{w['key']}': {w['client']}" for w in said["waiting"]]
    if said["refusals"]:
        lines.append(f"refused since the start (wrong token, name or origin): {said['refusals']}")
    return "\n".join(lines)


def _time(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
