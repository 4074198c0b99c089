"""Directories that others ask the writer to make, as its user and only where that is allowed."""

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet

from nexus_writer_service.errors import FileAccessError, FileError, FilePathError


def is_within(path: str, folder: str) -> bool:
    """Whether an absolute path is a folder or below it."""
    return os.path.commonpath([folder, path]) == folder


class DirectoryMaker:
    """Makes directories below allowed roots.

    Args:
        roots: absolute paths; empty: the folders of the session's scans.
        folders: folders of scans; those in which they are, at any depth, are allowed too.
    """

    def __init__(self, roots: Iterable[str], folders: Callable[[], Iterable[str]]) -> None:
        self._roots = tuple(roots)
        self._folders = folders
        self._pending: dict[str, Future[None]] = {}
        self._changing = threading.Lock()

    def allows(self, path: str) -> bool:
        """Whether a path may be made, as far as its text tells."""
        if self._roots:
            return any(is_within(path, root) for root in self._roots)
        return any(is_within(path, one) or is_within(one, path) for one in self._folders())

    def make(self, path: str, patience: float) -> None:
        """Make a directory and its parents, unless it exists.

        A disk that does not answer in time goes on being waited for: asked again, the answer may be
        there.

        Args:
            path: normalized absolute path.
            patience: seconds.

        Raises:
            FilePathError: it is not below an allowed root.
            FileAccessError: this user may not make it.
            FileError: another failure, or no answer in time.
        """
        with self._changing:
            done = self._pending.get(path)
            if done is None:
                done = self._pending[path] = Future()
                # A daemon, since a stalled disk may never answer.
                threading.Thread(
                    target=self._run, args=[path, done], name="makedirs", daemon=True
                ).start()
        try:
            done.result(patience)
        except NotYet:
            raise FileError(
                f"the disk did not answer within {patience:g} s to making {path}: it is waited for"
            ) from None

    def _run(self, path: str, done: Future[None]) -> None:
        try:
            self._make(path)
        except FileError as error:
            done.set_exception(error)
        except OSError as error:
            done.set_exception(_as_file_error(path, error))
        except Exception as error:  # noqa: BLE001 - it belongs to who waits
            done.set_exception(error)
        else:
            done.set_result(None)
        finally:
            with self._changing:
                del self._pending[path]

    def _make(self, path: str) -> None:
        # A link inside a root may lead out of it.
        real = os.path.realpath(path)
        roots = self._roots or self._folders()
        real_roots = [os.path.realpath(root) for root in roots]
        within = any(is_within(real, root) for root in real_roots)
        if not within and (self._roots or not any(is_within(root, real) for root in real_roots)):
            raise FilePathError(
                f"{path} is {real}, which is outside the allowed roots: {', '.join(real_roots)}"
            )
        os.makedirs(real, exist_ok=True)


def _as_file_error(path: str, error: OSError) -> FileError:
    text = f"cannot make the directory {path}: {error.strerror or error}"
    if isinstance(error, PermissionError):
        return FileAccessError(f"{text}. It has to be writable for user {os.geteuid()}")
    return FileError(text)
