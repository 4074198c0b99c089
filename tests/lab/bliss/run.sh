#!/bin/bash
# run.sh COMMAND...   one command in the lab's environment, e.g.  run.sh python scans.py --out OUT
# A *.py of this folder may be named from any directory.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh" || exit 1
if [ "${1:-}" = python ] && [ ! -e "${2:-}" ] && [ -f "$LAB_HERE/${2:-}" ]; then
  script=$LAB_HERE/$2; shift 2
  exec python -W ignore "$script" "$@"
fi
exec "$@"
