"""Print the JSON Schema of one kind of policy file, or write them all for an editor.

The schemas are those that the package ships. A policy file names its own in the first line:

  # yaml-language-server: $schema=../../modelrouter/schema/policy.v1.json

exit codes:
  0  printed or written
  2  the folder cannot be written
"""

from __future__ import annotations

import argparse
from pathlib import Path

from modelrouter.cli.common import FINE, USAGE, note, out
from modelrouter.schemas import DOCUMENTS, file_name, schema_text

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `schema`."""
    parser.add_argument(
        "name",
        nargs="?",
        choices=tuple(DOCUMENTS),
        help="the kind of file; `policy` by default, with --write every kind",
    )
    parser.add_argument(
        "--write", metavar="DIR", help="write the schemas into a folder and print their paths"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print one schema, or write one or all."""
    if arguments.write is None:
        out(schema_text(arguments.name or "policy").rstrip("\n"))
        return FINE
    folder = Path(arguments.write)
    for name in (arguments.name,) if arguments.name else DOCUMENTS:
        file = folder / file_name(name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file.write_bytes(schema_text(name).encode("ascii"))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            note(f"`{file}` cannot be written: {reason}")
            return USAGE
        out(str(file))
    return FINE
