"""Where the history of a user is, unless something else is asked for."""

from collections.abc import Mapping
from pathlib import Path

from nexus_writer_service.errors import SettingsError


def default_history(environment: Mapping[str, str]) -> Path:
    """Where the history of this user is [XDG Base Directory Specification 0.8].

    Args:
        environment: its ``XDG_STATE_HOME`` counts when it is an absolute path.

    Raises:
        SettingsError: there is none, since this user has no home directory.
    """
    home = Path(environment.get("XDG_STATE_HOME", ""))
    if not home.is_absolute():
        try:
            home = Path.home() / ".local" / "state"
        except RuntimeError as error:
            raise SettingsError(
                f"no place for the history ({error}): name one with --history"
            ) from error
    return home / "nexus_writer_service" / "history.sqlite"
