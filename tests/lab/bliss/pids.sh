# pids.sh: which processes are ours. A pid file holds the pid and the start time, so a recycled pid is never taken for ours.
_started() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
remember() { printf '%s %s\n' "$2" "$(_started "$2")" > "$LAB_DIR/run/$1.pid"; }
alive() { # NAME
  local pid started
  read -r pid started 2>/dev/null < "$LAB_DIR/run/$1.pid" || return 1
  [ -n "$started" ] && [ "$(_started "$pid")" = "$started" ] && ! grep -q '^State:.Z' "/proc/$pid/status" 2>/dev/null
}
stop() { # NAME: TERM, KILL after 10 s, then whatever is left in its session; false if it had to be killed
  local pid rest how=TERM
  if alive "$1"; then
    read -r pid rest < "$LAB_DIR/run/$1.pid"
    kill -TERM "$pid" 2>/dev/null
    for _ in $(seq 100); do alive "$1" || break; sleep 0.1; done
    alive "$1" && { kill -KILL "$pid" 2>/dev/null; how=KILL; }
    kill -TERM -- "-$pid" 2>/dev/null
    echo "$1: down (pid $pid, $how)"
  fi
  rm -f "$LAB_DIR/run/$1.pid"
  [ $how = TERM ]
}
