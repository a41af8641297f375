"""What a call costs on each model: expected for ranking, worst case for limits."""

from __future__ import annotations

from modelrouter.engine.compiled import Engine
from modelrouter.engine.costs import ModelTable
from modelrouter.values import Request

__all__ = ["EXPECTED_OUTPUT", "Sizes", "sizes_of"]

EXPECTED_OUTPUT = 500
"""Output tokens assumed for ranking where neither the call nor its task says any."""


class Sizes:
    """Tokens and costs of one request, model by model.

    Attributes:
        tokens: Estimated input tokens.
        max_output: The call's own limit of output tokens for each choice, or None.
    """

    __slots__ = ("bound", "choices", "max_output", "output", "table", "tokens")

    def __init__(self, *, request: Request, expected_output: int | None, table: ModelTable) -> None:
        own = request.max_output
        stated = [value for value in (own, expected_output) if value is not None]
        self.tokens = request.tokens
        self.bound = request.tokens if request.tokens_at_most is None else request.tokens_at_most
        self.max_output = own
        self.choices = request.choices
        self.output = (min(stated) if stated else EXPECTED_OUTPUT) * request.choices
        self.table = table

    def expected(self, place: int) -> int | None:
        """Return the expected cost in pico-dollars, or None without a price."""
        rates = self.table.rates[place]
        if rates is None:
            return None
        return self.tokens * rates.input + self.output * rates.output + rates.request

    def worst_output(self, place: int) -> int | None:
        """Return the most output tokens of all choices, or None where nothing limits them."""
        limit = self.table.output_limits[place] if self.max_output is None else self.max_output
        return None if limit is None else limit * self.choices

    def worst(self, place: int) -> int | None:
        """Return the worst-case cost in pico-dollars, or None where it has no bound."""
        rates = self.table.rates[place]
        output = self.worst_output(place)
        if rates is None or output is None:
            return None
        return self.bound * rates.worst_input + output * rates.worst_output + rates.request

    def worst_tokens(self, place: int) -> int | None:
        """Return input and output tokens in the worst case, or None where there is no bound."""
        output = self.worst_output(place)
        return None if output is None else self.bound + output


def sizes_of(request: Request, task: str, engine: Engine) -> Sizes:
    """Return the sizes of `request` for its task."""
    tasks = engine.bundle.policy.tasks
    expected = tasks[task].expected_output if tasks else None
    return Sizes(request=request, expected_output=expected, table=engine.table)
