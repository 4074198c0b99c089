# Source it. LAB_DIR: the lab's folder, with its venv; LAB_PORT: the first of six free ports.
LAB_HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${LAB_DIR:?set LAB_DIR to the folder of the lab}" "${LAB_PORT:?set LAB_PORT to the first of six free ports}"
export LAB_DIR LAB_PORT
export BEACON_HOST=localhost:$LAB_PORT TANGO_HOST=localhost:$((LAB_PORT + 1))
export REDIS_DATA_PORT=$((LAB_PORT + 3))
