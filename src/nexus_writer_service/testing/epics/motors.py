"""Program: simulated EPICS motor records. It ends when its standard input does.

``<prefix>m1`` and ``<prefix>m2`` behave like motor records as far as ophyd's ``EpicsMotor`` asks.
"""

import os
import sys
import threading


def serve(prefix: str) -> None:
    """Serve the records until standard input ends, on the port that the environment tells.

    Args:
        prefix: of the names of all records, with its colon.
    """
    # Here, because importing them takes a second.
    from caproto.ioc_examples.fake_motor_record import FakeMotor  # noqa: PLC0415
    from caproto.server import PVGroup, SubGroup, run  # noqa: PLC0415

    motors = {
        name: SubGroup(
            FakeMotor,
            prefix=name,
            velocity=4.0,
            precision=5,
            acceleration=0.05,
            user_limits=(-32000.0, 32000.0),
            tick_rate_hz=40.0,
        )
        for name in ("m1", "m2")
    }
    group = type("Motors", (PVGroup,), motors)(prefix=prefix)
    threading.Thread(target=_end_with_input, daemon=True).start()
    run(
        group.pvdb,
        module_name="caproto.asyncio.server",
        interfaces=["127.0.0.1"],
        log_pv_names=False,
        startup_hook=_say_ready,
    )


async def _say_ready(_: object) -> None:
    print("ready", flush=True)  # noqa: T201 - the program's answer to who started it


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1])
