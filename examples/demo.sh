#!/usr/bin/env bash
# Run the demo: a small open model in process, stand-ins for the vendors, no keys.
# Arguments go to `modelrouter demo`.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

bash "$root/.ci/setup"
exec "$root/.venv/bin/modelrouter" demo "$@"
