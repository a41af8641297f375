"""What a call costs on each model: expected for ranking, worst case for limits."""

from __future__ import annotations

from modelrouter.engine.clauses import Engine
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
        expected: Expected cost in pico-dollars by place; None without a price.
        worst: Worst-case cost in pico-dollars by place; None where it has no bound.
    """

    __slots__ = ("bound", "choices", "expected", "max_output", "table", "tokens", "worst")

    def __init__(self, *, request: Request, expected_output: int | None, table: ModelTable) -> None:
        own, choices, tokens = request.max_output, request.choices, request.tokens
        bound = tokens if request.tokens_at_most is None else request.tokens_at_most
        likely = EXPECTED_OUTPUT if own is None else own
        if expected_output is not None:
            likely = expected_output if own is None else min(own, expected_output)
        likely *= choices
        self.tokens: int = tokens
        self.bound: int = bound
        self.max_output: int | None = own
        self.choices: int = choices
        self.table: ModelTable = table
        self.expected: list[int | None] = [
            tokens * rates[0] + likely * rates[1] + rates[2] if rates else None
            for rates in table.linear
        ]
        if own is not None:
            most = own * choices
            self.worst: list[int | None] = [
                bound * rates[3] + most * rates[4] + rates[2] if rates else None
                for rates in table.linear
            ]
        else:
            self.worst = [
                bound * rates[3] + limit * choices * rates[4] + rates[2]
                if rates and limit is not None
                else None
                for rates, limit in zip(table.linear, table.output_limits, strict=True)
            ]

    def worst_tokens(self, place: int) -> int | None:
        """Return input and output tokens in the worst case, or None where there is no bound."""
        limit = self.table.output_limits[place] if self.max_output is None else self.max_output
        return None if limit is None else self.bound + limit * self.choices


def sizes_of(request: Request, task: str, engine: Engine) -> Sizes:
    """Return the sizes of `request` for its task."""
    tasks = engine.bundle.policy.tasks
    expected = tasks[task].expected_output if tasks else None
    return Sizes(request=request, expected_output=expected, table=engine.table)
