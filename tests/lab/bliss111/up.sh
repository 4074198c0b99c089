#!/bin/bash
# up.sh: starts Beacon of BLISS 1.11 with two plain Redis servers and a Tango database. OUT: where sessions save.
set -eu
. "$(dirname "$0")/env.sh"
rm -rf "$LAB_DIR/config" "$LAB_DIR/run"
mkdir -p "$LAB_DIR/run/log"
cp -r "$LAB_HERE/../bliss/config" "$LAB_DIR/config"
sed -i "s#@DATA@#$OUT/esrf_policy#" "$LAB_DIR/config/sessions/esrf_session.yml"
SOCKETS=$(mktemp -d)
echo "$SOCKETS" > "$LAB_DIR/run/sockets"
cd "$LAB_DIR/run"
setsid "$LAB_HERE/run.sh" beacon-server --db-path "$LAB_DIR/config" --port "$LAB_PORT" --tango-port $((LAB_PORT + 1)) \
  --redis-port $((LAB_PORT + 2)) --redis-socket "$SOCKETS/redis" \
  --redis-data-port "$REDIS_DATA_PORT" --redis-data-socket "$SOCKETS/data" \
  --homepage-port $((LAB_PORT + 4)) --log-server-port $((LAB_PORT + 5)) --log-viewer-port 0 \
  --log-output-folder "$LAB_DIR/run/log" > "$LAB_DIR/log/beacon.log" 2>&1 < /dev/null &
echo $! > beacon.pid
for _ in $(seq 120); do
  "$LAB_HERE/run.sh" python -c 'import tango; tango.Database(); tango.DeviceProxy("sys/database/2").ping()' 2> /dev/null && exit 0
  kill -0 "$(cat beacon.pid)" 2> /dev/null || break
  sleep 0.5
done
tail -n 20 "$LAB_DIR/log/beacon.log" >&2
exit 1
