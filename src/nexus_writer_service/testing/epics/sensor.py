"""Program: a soft IOC of EPICS base with a sensor. It ends when its standard input does.

``<prefix>sensor`` is a random number between 0 and 1 in volts, new ten times per second;
``<prefix>spectrum`` are 64 numbers, ``<prefix>mode`` is an enumeration, ``<prefix>sample`` text.
"""

import os
import sys

import numpy as np


def serve(prefix: str) -> None:
    """Serve the records until standard input ends, on the port that the environment tells.

    Args:
        prefix: of the names of all records, with its colon.
    """
    # Here, because importing it loads EPICS base into the process.
    from softioc import asyncio_dispatcher, builder, softioc  # noqa: PLC0415

    builder.SetDeviceName(prefix.removesuffix(":"))
    builder.records.calc(
        "sensor", CALC="RNDM", SCAN=".1 second", PREC=5, EGU="V", DESC="random numbers"
    )
    builder.WaveformIn("spectrum", initial_value=np.linspace(0.0, 1.0, 64))
    builder.mbbIn("mode", "Idle", "Run", "Error", initial_value=1)
    builder.stringIn("sample", initial_value="LaB6")
    builder.LoadDatabase()
    softioc.iocInit(asyncio_dispatcher.AsyncioDispatcher())
    print("ready", flush=True)  # noqa: T201 - the program's answer to who started it
    sys.stdin.read()
    # EPICS base has threads that do not end.
    os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1])
