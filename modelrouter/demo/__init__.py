"""What the demo needs beyond the router: a self-hosted model and a progress bar.

Nothing here is imported by the router. `modelrouter.demo.local_model` starts a small open
model on this machine; `modelrouter.demo.progress` shows how far it has come.
"""

__all__: list[str] = []
