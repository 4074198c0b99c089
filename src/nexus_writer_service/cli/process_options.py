"""What the options of a command say, as a process takes it."""

import logging
import os
from pathlib import Path

from nexus_writer_service.cli.session_options import OwnOptions, SafetyOptions, SavedOptions
from nexus_writer_service.cli.session_process import ProcessOptions
from nexus_writer_service.errors import SettingsError
from nexus_writer_service.service.history_place import default_history
from nexus_writer_service.service.templates import load_templates

_log = logging.getLogger(__name__)


def process_options(
    session: str,
    saved: SavedOptions,
    own: OwnOptions,
    safety: SafetyOptions,
    *,
    data_writers: tuple[str, ...],
) -> ProcessOptions:
    """How a process is to save scans.

    Args:
        session: whose; empty: of all sessions.
        saved: what of a scan.
        own: which scans, and where.
        safety: what the files outlast.
        data_writers: whose scans, where ``own`` does not say.

    Raises:
        SettingsError: a template cannot be used.
    """
    return ProcessOptions(
        session=session,
        layout=saved.esrf(),
        follows=saved.layout.value,
        templates=load_templates(saved.template or ()),
        data_writers=tuple(own.data_writer or data_writers),
        roots=tuple(str(path.resolve()) for path in own.root or ()),
        profiling=own.resource_profiling.value,
        grace=own.grace,
        semaphore=own.start_semaphore_file,
        history=None if own.nohistory else own.history or _history_or_none(),
        catch_up=not own.nocatchup,
        files=safety.files(),
    )


def _history_or_none() -> Path | None:
    """The history of this user; None, with a warning, when there is no place for one."""
    try:
        return default_history(os.environ)
    except SettingsError as error:
        _log.warning("verdicts are in the files and the log only: %s", error)
        return None
