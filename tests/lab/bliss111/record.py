"""Records what a BLISS 1.11 session writes into its Redis, command by command.

usage: record.py REDIS_URL SESSION OUT.jsonl.gz COMMAND...

Runs the command, and keeps each command that changes a key of the session in database 1 meanwhile, as one line of JSON: the
arguments as text in which each character is one byte (latin-1). Replayed, they give the same keys in
the same order.
"""

import gzip
import io
import json
import re
import subprocess
import sys
import threading

import redis

WRITES = {
    "XADD", "XDEL", "XTRIM", "HSET", "HMSET", "HDEL", "SET", "DEL", "EXPIRE", "PERSIST", "RPUSH", "INCR",
    "UNLINK",
}
ARGUMENT = re.compile(rb'"((?:[^"\\]|\\.)*)"')
ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|.)")
NAMED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"a": b"\a", b"b": b"\b"}


def unescaped(text):
    """The bytes of an argument as MONITOR shows it."""
    def one(match):
        code = match.group(1)
        return bytes([int(code[1:], 16)]) if len(code) == 3 else NAMED.get(code, code)

    return ESCAPE.sub(one, text)


def commands(lines):
    """The arguments of each command that writes into database 1."""
    for line in lines:
        head = re.match(rb"\+\d+\.\d+ \[(\d+) [^\]]*\] ", line)
        if head is None or head.group(1) != b"1":
            continue
        arguments = [unescaped(found) for found in ARGUMENT.findall(line[head.end():])]
        if arguments[0].decode().upper() in WRITES:
            yield [argument.decode("latin-1") for argument in arguments]


def main():
    """Record."""
    url, session, out, *command = sys.argv[1:]
    # Without hiredis and its parser: MONITOR answers with lines that never end.
    connection = redis.ConnectionPool.from_url(url).make_connection()
    connection.connect()
    connection.send_command("MONITOR")
    stream = connection._sock.makefile("rb")
    lines = []

    def read():
        for line in stream:
            if b"end of recording" in line:
                return
            lines.append(line)

    reader = threading.Thread(target=read)
    reader.start()
    status = subprocess.run(command, check=False).returncode
    redis.Redis.from_url(url).echo("end of recording")
    reader.join(10)
    text = "".join(json.dumps(one) + "\n" for one in commands(lines) if one[1].startswith(session))
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as file:
        file.write(text.encode())
    with open(out, "wb") as file:
        file.write(packed.getvalue())
    print(f"{out}: {text.count(chr(10))} commands, {len(packed.getvalue())} bytes", flush=True)
    return status


sys.exit(main())
