"""``python -m bench.kill_campaign``: a thousand writers are killed, and nothing is lost.

Scans are written side by side by one writer after the other; each is killed with SIGKILL, at a
random instant or during a step of a commit, and the next one goes on. See ``docs/crash_safety.md``.
"""

import time
from typing import Annotated

import typer
from tests.support_kills import Tally, campaign
from tests.support_power import Losses, losses
from tests.support_processes import workspace

_SEEDS_OF_POWER = 4


def main(
    *,
    kills: Annotated[int, typer.Option(min=0, help="Writers to kill.")] = 1000,
    power: Annotated[int, typer.Option(min=0, help="Losses of power to simulate.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of all chances.")] = 0,
) -> None:
    """Kill writers, take the power away, and look. Ends with status 1 when anything is wrong."""
    begin = time.monotonic()
    with workspace() as folder:
        tally = campaign(folder, seed, kills)
    _print_kills(tally, time.monotonic() - begin)
    found = []
    for number in range(seed, seed + _SEEDS_OF_POWER if power else seed):
        with workspace() as folder:
            found.append(losses(folder, number, -(-power // _SEEDS_OF_POWER), [], failures=10))
    _print_losses(found)
    failures = [*tally.failures, *(text for one in found for text in one.failures)]
    for failure in failures:
        print("FAILED", failure)
    if failures:
        raise typer.Exit(1)


def _print_kills(tally: Tally, seconds: float) -> None:
    steps = ", ".join(f"{step} {count}" for step, count in sorted(tally.kills.items()))
    rows = {
        "writers killed": f"{tally.killed} ({steps})",
        "files, written to the end by those that followed": tally.files,
        "... identical to one undisturbed run": tally.identical,
        "readable by a plain reader before recovery, or still empty": tally.readable_before,
        "... torn until recovered": tally.torn_before,
        "recovered": tally.sound + tally.left,
        "... by `recover`, then every value compared": tally.sound,
        "... by the next writer, which found all that was promised": tally.left,
        "recoveries by `recover` that had something to replay": tally.replayed,
        "recoveries killed, and done again": tally.recoveries_killed,
        "seconds": round(seconds),
    }
    for what, value in rows.items():
        print(f"| {what} | {value} |")


def _print_losses(found: list[Losses]) -> None:
    rows = {
        "losses of power": sum(one.images for one in found),
        "... with something promised": sum(one.promised for one in found),
        "... with something to replay": sum(one.replayed for one in found),
        "... and a second loss during the recovery": sum(one.twice for one in found),
        "... that lost what was promised": sum(len(one.failures) for one in found),
    }
    for what, value in rows.items():
        print(f"| {what} | {value} |")


if __name__ == "__main__":
    typer.run(main)
