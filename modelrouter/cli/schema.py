"""Print the JSON Schema of one kind of policy file, or write them all for an editor.

The schemas are those that the package ships. A policy file names its own in the first line:

  # yaml-language-server: $schema=../../modelrouter/schema/policy.v1.json

With --for they are those of one policy: a category, a model or a fact that it does not declare
is a mistake in the editor already. Run it again after a name was added.

exit codes:
  0  printed or written
  2  the folder cannot be written, or the names of the policy cannot be read
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from modelrouter.cli.common import FINE, USAGE, counts, note, out
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
        "--for",
        dest="policy",
        metavar="POLICY",
        help="a policy folder or file, whose names alone are to be accepted",
    )
    parser.add_argument(
        "--write", metavar="DIR", help="write the schemas into a folder and print their paths"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print one schema, or write one or all."""
    text_of = schema_text if arguments.policy is None else texts_for(arguments.policy)
    if text_of is None:
        return USAGE
    if arguments.write is None:
        out(text_of(arguments.name or "policy").rstrip("\n"))
        return FINE
    folder = Path(arguments.write)
    for name in (arguments.name,) if arguments.name else DOCUMENTS:
        file = folder / file_name(name)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text_of(name).encode("ascii"))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            note(f"`{file}` cannot be written: {reason}")
            return USAGE
        out(str(file))
    return FINE


def texts_for(policy: str) -> Callable[[str], str] | None:
    """Return what writes the schemas of one policy, or None after saying why there are none."""
    from modelrouter.declared import read_names  # noqa: PLC0415 - the loader, only when needed
    from modelrouter.narrowing import narrowed_text  # noqa: PLC0415 - as above

    found = read_names(policy)
    names = found.names
    if names is None:
        for problem in found.problems:
            note(str(problem))
        note(f"{policy}: its names cannot be read: {counts(found.problems)}")
        return None
    if found.problems:
        note(f"{policy}: the policy does not load: {counts(found.problems)}")
        note(f"    hint: `modelrouter check {policy}` lists them; its names could be read")
    return lambda name: narrowed_text(name, names)
