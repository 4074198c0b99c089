"""Whether all sessions of a server are alive, for a watchdog."""

import threading
from collections.abc import Iterable
from concurrent.futures import Future

from nexus_writer_service.service.session_control import SessionControl


def sign_of_life(controls: Iterable[SessionControl]) -> "Future[None]":
    """Done when the scribes of all sessions have got to it; failed when one of them is dead.

    A session that is stopped meanwhile is not waited for.
    """
    together: Future[None] = Future()
    services = [(control, service) for control in controls if (service := control.service)]
    left = len(services)
    counting = threading.Lock()
    if not services:
        together.set_result(None)
    for control, service in services:

        def done(sign: "Future[None]", *, lives: bool) -> None:
            nonlocal left
            with counting:
                left -= 1
                if together.done():
                    return
                if lives and (error := sign.exception()):
                    together.set_exception(error)
                elif not left:
                    together.set_result(None)

        service.sign_of_life().add_done_callback(
            lambda sign, control=control, service=service: done(  # type: ignore[misc]
                sign, lives=control.service is service
            )
        )
    return together
