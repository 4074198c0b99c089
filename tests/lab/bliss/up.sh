#!/bin/bash
# up.sh [--no-writer]   starts what is not running yet: beacon (two Redis servers, Tango database, memory tracker,
#                       log server) and the writer.
#
#   LAB_DIR, LAB_PORT   see env.sh
#   OUT           folder of esrf_session's data is OUT/esrf_policy (default: DIR/out)
#   SESSION       BLISS sessions that get a writer (default: test_session; there is also esrf_session)
#   WRITER_KIND   tango (default): a Tango server nexuswriter/nexuswriters | process: one plain process per session, or one for all where
#                 WRITER_CMD does not name the {session}
#   WRITER_CMD    the writer to start in place of the reference, in the caller's own PATH and PYTHONPATH.
#                 tango: it must serve nexuswriter/nexuswriters, class NexusWriter; process: {session} is replaced.
#   DEVICE_FAMILY the family of the devices (default: bliss_nxwriter)
#   REGISTER_CMD  what registers the device of {session}, as the caller; the names must be those below
set -u
. "$(dirname "${BASH_SOURCE[0]}")/env.sh" || exit 1
. "$LAB_HERE/pids.sh"
SESSION=${SESSION:-test_session}
WRITER_KIND=${WRITER_KIND:-tango}
die() { printf 'up.sh: %s\n' "$1" >&2; exit 1; }
tail_of() { echo "--- end of $1" >&2; tail -15 "$1" >&2; }

start() { # NAME COMMAND...: in a session of its own, log (appended to) and pid by name
  local name=$1; shift
  setsid "$@" >> "$LAB_DIR/log/$name.log" 2>&1 < /dev/null &
  remember "$name" $!
}
IN_LAB=(env -C "$LAB_DIR")
AS_CALLER=(env -u CONDA_PREFIX -u PYTHONDONTWRITEBYTECODE "PATH=$LAB_CALLER_PATH" "PYTHONPATH=$LAB_CALLER_PYTHONPATH"
  "XDG_STATE_HOME=$LAB_DIR/run/state")
until_true() { # SECONDS NAME COMMAND...: repeat the command until it succeeds or the process NAME has ended
  local end=$((SECONDS + $1)) name=$2; shift 2
  while [ $SECONDS -lt $end ]; do
    "$@" > /dev/null 2>&1 && return 0
    alive "$name" || return 1
    sleep 0.1
  done
  return 1
}
ports_free() {
  python - "$@" <<'PY'
import socket, sys

for port in map(int, sys.argv[1:]):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("", port))
        except OSError as error:
            sys.exit(f"port {port}: {error.strerror}")
PY
}
database_answers() { python -c 'import tango; tango.Database().get_db_host(); tango.DeviceProxy("sys/database/2").ping()'; }
devices_answer() { # SESSION...
  python - "$@" <<'PY'
import os, sys, tango

for session in sys.argv[1:]:
    state = tango.DeviceProxy(f"id00/{os.environ.get('DEVICE_FAMILY', 'bliss_nxwriter')}/{session}").state()
    if state not in (tango.DevState.ON, tango.DevState.RUNNING):
        sys.exit(1)
PY
}
listening() { # NUMBER: a plain process cannot be asked, but Redis tells which of its clients read streams
  python - "$P_REDISDATA" "$1" <<'PY'
import sys, redis

clients = redis.Redis(port=int(sys.argv[1])).client_list()
sys.exit(sum(client["cmd"].startswith("xread") for client in clients) < int(sys.argv[2]))
PY
}

if alive beacon; then
  echo "beacon: was running (port $P_BEACON)"
else
  ports_free "$P_BEACON" "$P_TANGO" "$P_REDIS" "$P_REDISDATA" "$P_HOME" "$P_WEBAPP" "$P_LOG" || die "choose other ports: LAB_PORT=N up.sh"
  # beacon writes into its configuration, so it gets a copy; sockets have short names because of their length limit
  rm -rf "$LAB_DIR/config"
  cp -r "$LAB_HERE/config" "$LAB_DIR/config"
  sed -i "s#@DATA@#${OUT:-$LAB_DIR/out}/esrf_policy#" "$LAB_DIR/config/sessions/esrf_session.yml"
  mkdir -p "$LAB_DIR/log/logserver" "$LAB_DIR/out"
  SOCKETS=$(mktemp -d)
  echo "$SOCKETS" > "$LAB_DIR/run/sockets"
  echo "$LAB_PORT" > "$LAB_DIR/run/port"
  # BLISS 2.4 has no such server any more
  webapp=()
  "${IN_LAB[@]}" beacon-server --help 2> /dev/null | grep -q -e --webapp-port && webapp=(--webapp-port "$P_WEBAPP")
  start beacon "${IN_LAB[@]}" beacon-server --db-path "$LAB_DIR/config" --port "$P_BEACON" \
    --redis-port "$P_REDIS" --redis-socket "$SOCKETS/redis" \
    --redis-data-port "$P_REDISDATA" --redis-data-socket "$SOCKETS/data" \
    --tango-port "$P_TANGO" --homepage-port "$P_HOME" "${webapp[@]}" \
    --log-server-port "$P_LOG" --log-viewer-port 0 --log-output-folder "$LAB_DIR/log/logserver"
  until_true 60 beacon database_answers || { tail_of "$LAB_DIR/log/beacon.log"; die "beacon did not come up"; }
  echo "beacon: up   BEACON_HOST=$BEACON_HOST TANGO_HOST=$TANGO_HOST redis=$P_REDIS redis_data=$P_REDISDATA"
fi
[ "${1:-}" = --no-writer ] && exit 0

if [ "$WRITER_KIND" = process ]; then
  # one for each session, or one for all
  case ${WRITER_CMD:-\{session\}} in *\{session\}*) ;; *) SESSION=all ;; esac
  for session in $SESSION; do
    alive "writer_$session" && { echo "writer: process for $session was running"; continue; }
    if [ -n "${WRITER_CMD:-}" ]; then
      # shellcheck disable=SC2086
      start "writer_$session" "${AS_CALLER[@]}" ${WRITER_CMD//\{session\}/$session}
    else
      start "writer_$session" "${IN_LAB[@]}" NexusSessionWriter "$session" --log=info
    fi
  done
  for session in $SESSION; do
    until_true 60 "writer_$session" listening "$(wc -w <<< "$SESSION")" \
      || { tail_of "$LAB_DIR/log/writer_$session.log"; die "the writer process of $session has ended or does not listen"; }
    echo "writer: process for $session up, log $LAB_DIR/log/writer_$session.log"
  done
  exit 0
fi
alive writer && { echo "writer: was running"; exit 0; }
for session in $SESSION; do
  if [ -n "${REGISTER_CMD:-}" ]; then
    # shellcheck disable=SC2206
    register=("${AS_CALLER[@]}" ${REGISTER_CMD//\{session\}/$session})
  else
    register=(RegisterNexusWriter "$session" --domain id00 --instance nexuswriters)
  fi
  "${register[@]}" > "$LAB_DIR/log/register.log" 2>&1 \
    || { tail_of "$LAB_DIR/log/register.log"; die "the registration of $session failed"; }
done
if [ -n "${WRITER_CMD:-}" ]; then
  # shellcheck disable=SC2086
  start writer "${AS_CALLER[@]}" $WRITER_CMD
else
  start writer "${IN_LAB[@]}" NexusWriterService nexuswriters --log=info
fi
# shellcheck disable=SC2086
until_true 60 writer devices_answer $SESSION || { tail_of "$LAB_DIR/log/writer.log"; die "the writer is not ON or RUNNING"; }
echo "writer: device up for $SESSION, log $LAB_DIR/log/writer.log"
