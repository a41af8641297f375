"""The compiled policy: masks over the catalogue and closures over the request."""

__all__: list[str] = []
