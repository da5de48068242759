#!/bin/sh
# The monitoring test: endpoints, metrics, scraping, traffic, links. It takes ops.verify's options and
# has its exit codes: 0 all checks passed, 1 a check failed, 2 nothing could be checked.
cd "$(dirname "$0")" || exit 2
make --no-print-directory --silent .venv/.runtime-installed || exit 2
exec .venv/bin/python -m ops.verify "$@"
