"""The policy format: shapes of every document, checks of names, the loaded bundle."""

__all__: list[str] = []
