#!/bin/bash
# down.sh [writer]   ends what up.sh started: everything (and forgets Redis content and registration), or the writer only.
# Exit status 1 if a writer had to be killed.
. "$(dirname "${BASH_SOURCE[0]}")/env.sh" || exit 1
. "$LAB_HERE/pids.sh"
STATUS=0
for file in "$LAB_DIR"/run/writer*.pid; do
  [ -f "$file" ] || continue
  stop "$(basename "$file" .pid)" || STATUS=1
done
[ "${1:-}" = writer ] && exit $STATUS
stop beacon || true
[ -f "$LAB_DIR/run/sockets" ] && rm -rf "$(cat "$LAB_DIR/run/sockets")"
rm -rf "$LAB_DIR/config" "$LAB_DIR/run/state" "$LAB_DIR/run/sockets" "$LAB_DIR/run/port"
exit $STATUS
