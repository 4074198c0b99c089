#!/bin/bash
# down.sh: ends what up.sh has started.
. "$(dirname "$0")/env.sh"
[ -f "$LAB_DIR/run/beacon.pid" ] || exit 0
PID=$(cat "$LAB_DIR/run/beacon.pid")
kill -TERM "$PID" 2> /dev/null
for _ in $(seq 50); do kill -0 "$PID" 2> /dev/null || break; sleep 0.2; done
kill -KILL -- "-$PID" 2> /dev/null
rm -rf "$(cat "$LAB_DIR/run/sockets")" "$LAB_DIR/run/beacon.pid"
