"""``weft serve``: a bundle in a browser of this machine."""

from __future__ import annotations

import argparse

from .arguments import Parser, filename


def add_parser(sub: argparse._SubParsersAction, raw: type) -> None:
    """The words of the command line."""
    p: Parser = sub.add_parser(
        "serve", help="show a bundle in a browser of this machine",
        description="Serve a bundle on this machine only, with all that its page can use.",
        epilog="example:\n  weft serve dist/ --port 8000", formatter_class=raw,
    )  # fmt: skip
    p.add_argument("folder", type=filename, help="the bundle")
    p.add_argument("--port", type=int, default=8000, help="default: 8000; 0: any free one")
    p.set_defaults(run=serve_bundle)


def serve_bundle(args: argparse.Namespace) -> int:
    """``weft serve``: until it is interrupted."""
    from ..web.serve import serve

    serve(args.folder, args.port)
    return 0
