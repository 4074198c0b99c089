# env.sh: the environment of the lab's BLISS side. Source it in bash (. env.sh), or let run.sh do so for one command.
#
#   LAB_DIR    folder made by setup.sh (default: .bliss-lab at the top of the repository)
#   LAB_BLISS  2.2 (default) or 2.4
#   LAB_WRITER_PACKAGE  what BLISS imports as blisswriter: overlay (the reference's) or compat (ours); default: compat with 2.4
#   LAB_PORT   first of seven ports (default: what the running lab uses, else 25000)
LAB_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
LAB_BLISS=${LAB_BLISS:-2.2}
[ "$LAB_BLISS" = 2.2 ] && LAB_SET= || LAB_SET=24
[ -n "${LAB_WRITER_PACKAGE:-}" ] || LAB_WRITER_PACKAGE=$([ "$LAB_BLISS" = 2.2 ] && echo overlay || echo compat)
LAB_DIR=${LAB_DIR:-$(cd "$LAB_HERE/../../.." && pwd)/.bliss-lab$LAB_SET}
if [ ! -x "$LAB_DIR/venv/bin/python" ] || [ ! -x "$LAB_DIR/bin/redis-server" ]; then
  echo "env.sh: no complete lab in $LAB_DIR: run $LAB_HERE/setup.sh $LAB_DIR, or set LAB_DIR" >&2
  return 1 2>/dev/null || exit 1
fi
LAB_DIR=$(cd "$LAB_DIR" && pwd)
[ -n "${LAB_PORT:-}" ] || LAB_PORT=$(cat "$LAB_DIR/run/port" 2>/dev/null || echo 25000)
P_BEACON=$LAB_PORT P_TANGO=$((LAB_PORT + 1)) P_REDIS=$((LAB_PORT + 2)) P_REDISDATA=$((LAB_PORT + 3))
P_HOME=$((LAB_PORT + 4)) P_WEBAPP=$((LAB_PORT + 5)) P_LOG=$((LAB_PORT + 6))

# Another writer must see the caller's own PATH and PYTHONPATH, not the lab's: up.sh gives it these.
[ -n "${LAB_CALLER_PATH:-}" ] || LAB_CALLER_PATH=$PATH LAB_CALLER_PYTHONPATH=${PYTHONPATH:-}
export LAB_HERE LAB_DIR LAB_PORT LAB_BLISS LAB_WRITER_PACKAGE LAB_CALLER_PATH LAB_CALLER_PYTHONPATH
export PYTHONPATH=$LAB_DIR/$LAB_WRITER_PACKAGE:$LAB_HERE/stubs
export PATH=$LAB_DIR/bin:$LAB_DIR/$LAB_WRITER_PACKAGE/bin:$LAB_DIR/venv/bin:$LAB_CALLER_PATH
export PYTHONDONTWRITEBYTECODE=1
export CONDA_PREFIX=$LAB_DIR/prefix       # beacon looks for lib/librejson.so and lib/redisearch.so under it
export BEACON_HOST=localhost:$P_BEACON    # compared as text with a writer device's property beacon_host
export TANGO_HOST=localhost:$P_TANGO
export ICAT_CLIENT_DISABLED=1
