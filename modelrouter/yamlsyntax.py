"""What PyYAML's two parsers say of broken syntax, in plain words.

Their own texts are not passed on, because some quote the file.
"""

from __future__ import annotations

from typing import Final

__all__ = ["NOT_YAML", "SYNTAX"]

SYNTAX: Final = (
    ("alphabetic", "`*` or `&` begins an alias or an anchor", "quote the text"),
    ("tag", "`!` begins a tag", "quote the text"),
    ("tab character", "a tab is used for indentation", "indent with spaces"),
    ("are not allowed", "a key or item cannot stand here", "fix the indent; quote text with `: `"),
    ("expected ':'", "expected `: ` after the key", "write `key: value`"),
    ("',' or", "expected `,` or the end of the list", "close it; quote text with `: ` or `,`"),
    ("node content", "expected a value", "close brackets and braces; leave no comma alone"),
    ("end of stream", "the file ends inside quoted text", "close the quote"),
    ("escape", "no such escape in double quotes", "use single quotes, or double the backslash"),
    ("block scalar", "text behind `|` or `>`", "begin the text on the next line"),
    ("any token", "nothing begins with this character", "quote the text; indent with spaces"),
    ("block", "expected the next key or `- ` item", "align them; put nothing behind a quote"),
    ("", "this is not YAML", "check indentation, quotes and brackets"),
)
"""Part of "context: problem", message, hint; the first row found in what was said wins."""

NOT_YAML: Final = SYNTAX[-1]
"""The row for what no other row knows."""
