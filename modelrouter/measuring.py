"""How many tokens a payload may come to, before anybody has counted them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from modelrouter.values import Json

__all__ = ["MEDIA", "Measure", "Media", "measure", "media_of"]

BYTES_PER_TOKEN = 4
FRAME_TOKENS = 16
"""What a chat template adds to a message, at most, and to the whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Media:
    """A kind of content part that holds no text.

    Attributes:
        kind: What a policy calls it under `classifiers: unscannable`.
        need: The capability it needs.
        data: Where its data stand: a key, and a key below it.
    """

    kind: Literal["image", "audio", "file"]
    need: str
    data: tuple[str, str]


MEDIA: Mapping[str, Media] = {
    "image_url": Media(kind="image", need="vision", data=("image_url", "url")),
    "input_image": Media(kind="image", need="vision", data=("image_url", "url")),
    "input_audio": Media(kind="audio", need="audio", data=("input_audio", "data")),
    "audio_url": Media(kind="audio", need="audio", data=("audio_url", "url")),
    "video_url": Media(kind="file", need="vision", data=("video_url", "url")),
    "file": Media(kind="file", need="file", data=("file", "file_data")),
    "input_file": Media(kind="file", need="file", data=("file_data", "")),
}
"""Content parts by their `type`."""

IMAGE_TOKENS, IMAGE_TOKENS_AT_MOST = 1_600, 5_000
"""For an image. Source: vendors' guides name 85 to about 1,600 tokens a picture; a few models
charge more than the bound."""
AUDIO_BYTES_PER_TOKEN, AUDIO_BYTES_PER_TOKEN_AT_LEAST = 64, 8
FILE_BYTES_PER_TOKEN, FILE_BYTES_PER_TOKEN_AT_LEAST = 16, 1
"""For base64 data. Audio comes to 10 to 32 tokens a second; a file is at worst plain text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """The size of a payload in input tokens.

    Attributes:
        tokens: An estimate: four bytes a token.
        at_most: A bound: a byte-level tokenizer makes at most one token of a byte.
    """

    tokens: int
    at_most: int


def media_of(message: Mapping[str, Json]) -> Iterator[tuple[Media, str]]:
    """Yield the parts of a message that hold no text, each with its data."""
    content = message.get("content")
    for part in content if isinstance(content, list) else ():
        kind = part.get("type") if isinstance(part, dict) else None
        media = MEDIA.get(kind) if isinstance(kind, str) else None
        if isinstance(part, dict) and media is not None:
            outer, inner = media.data
            value = part.get(outer)
            value = value.get(inner) if isinstance(value, dict) else value
            yield media, value if isinstance(value, str) else ""


def measure(messages: Sequence[Mapping[str, Json]], size: int) -> Measure:
    """Return the size of a payload.

    Everything counts as text, its JSON punctuation included, but the data of parts that
    hold none.

    Args:
        messages: The messages.
        size: Bytes of the whole payload as UTF-8 JSON.
    """
    tokens, at_most = 0, 0
    for message in messages:
        for media, data in media_of(message):
            length = len(json.dumps(data, ensure_ascii=False).encode())
            size -= length
            likely, most = media_tokens(media, length)
            tokens += likely
            at_most += most
    frames = FRAME_TOKENS * (len(messages) + 4)
    return Measure(tokens=tokens - (-size // BYTES_PER_TOKEN), at_most=at_most + size + frames)


def media_tokens(media: Media, length: int) -> tuple[int, int]:
    """Return the estimated and the most tokens of a part of `length` bytes."""
    if media.kind == "image":
        return IMAGE_TOKENS, IMAGE_TOKENS_AT_MOST
    if media.kind == "audio":
        return length // AUDIO_BYTES_PER_TOKEN + 1, length // AUDIO_BYTES_PER_TOKEN_AT_LEAST + 1
    return length // FILE_BYTES_PER_TOKEN + 1, length // FILE_BYTES_PER_TOKEN_AT_LEAST + 1
