#!/bin/bash
# run.sh COMMAND...: runs a command of the environment of BLISS 1.11 in the lab that is up.
. "$(dirname "$0")/env.sh"
export PATH=$LAB_DIR/venv/bin:$PATH PYTHONPATH=$LAB_HERE/overlay PYTHONWARNINGS=ignore
exec "$@"
