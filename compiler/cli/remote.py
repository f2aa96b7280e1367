"""From the words of a command line to a device elsewhere, and to what is compiled for it."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ...runtime.errors import InputError
from ...runtime.files import read_file
from .streams import say

if TYPE_CHECKING:
    from ...runtime.rpc.client import Remote

_MOST_TOKEN = 4096  # bytes of its file
SHORT = 1.0  # seconds of waiting that nobody needs to be told of


@contextmanager
def connected(args: argparse.Namespace) -> Iterator[Remote | None]:
    """The device that ``--rpc`` asks for, and None without it. It is given back at the end."""
    if args.rpc is None:
        yield None
        return
    with turns(args, args.rpc_timeout)(args.wait) as remote:
        say(f"on {remote.name}")
        yield remote


def turns(args: argparse.Namespace, timeout: float | None) -> Callable[[float], Remote]:
    """What takes a turn at a device of ``--rpc``, and waits so many seconds for it; ``timeout`` is
    for each message."""
    from ...runtime.rpc.client import connect, keys_at
    from ...runtime.rpc.stream import Address

    token = token_of(args)
    address = Address.parse(args.rpc, token, args.certificate)
    teller = queue_teller(lambda: keys_at(address))

    def turn(wait: float) -> Remote:
        return connect(
            args.rpc, token=token, key=args.key, timeout=timeout, wait=wait,
            certificate=args.certificate, on_queue=teller if wait > SHORT else None,
        )  # fmt: skip

    return turn


def target_there(args: argparse.Namespace, remote: Remote) -> str:
    """The target that ``--target`` means on a device: a kind alone has the device's own limits.

    Raises :class:`RPCError`, step ``"refused"``, for what it does not run."""
    text = args.target.strip()
    there = remote.target(text.split(maxsplit=1)[0])
    return text if " " in text else there


def token_of(args: argparse.Namespace) -> str | None:
    """What ``--token`` or ``--token-file`` say; None without both."""
    return args.token if args.token_file is None else read_token(args.token_file)


def read_token(file: str) -> str:
    """The token in a file. Raises :class:`InputError` where there is none."""
    data = read_file(file, _MOST_TOKEN, error=InputError, what="the token")
    token = data.decode("utf-8", "replace").strip()
    if not re.fullmatch(r"[\w.~-]{16,}", token, re.ASCII):
        raise InputError(
            "this is no token: 16 or more letters, digits, '-', '_', '.' or '~'.", where=file,
            hint="weft rpc hub --token-file FILE makes a file that is not there",
        )  # fmt: skip
    return token


def queue_teller(keys: Callable[[], str]) -> Callable[[int, int], None]:
    """Says how many are before this client, and how many devices there are, when that changes;
    ``keys`` tells what else is there where nothing has the key."""
    said: list[tuple[int, int]] = []

    def tell(ahead: int, devices: int) -> None:
        if said[-1:] == [(ahead, devices)]:
            return
        said.append((ahead, devices))
        if not devices:
            say(f"waiting: there is no device with this key, and {keys()} …")
            return
        before = "nobody is" if not ahead else "one is" if ahead == 1 else f"{ahead} are"
        count = "the device is" if devices == 1 else f"all {devices} devices are"
        say(f"waiting for a turn: {count} busy, {before} before you …")

    return tell
