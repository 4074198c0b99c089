"""All errors of the package: one tree.

WriterError
├── SourceError                 what is received cannot be understood or reached
│   ├── SourceUnavailableError  (ConnectionError)   the data source cannot be reached
│   ├── ScanNotFoundError       (LookupError)       the source does not hold this scan (any more)
│   └── DecodeError             (ValueError)        received bytes do not mean what they promise
├── LayoutError                 (ValueError)        a description cannot become a file tree
├── FileError                                       something is wrong with a file on disk
│   ├── FilePathError           (ValueError)        the path may not be used
│   ├── FileAccessError         (PermissionError)   no right to create or change the file
│   ├── FileLockedError         (BlockingIOError)   another process has the file
│   ├── EntryExistsError        (FileExistsError)   the file already holds this entry
│   └── DiskSpaceError          (OSError)           not enough room
├── DatasetError                (ValueError)        points do not fit their dataset
├── UnknownScanError            (LookupError)       no scan of this name is known (any more)
├── StateError                  (RuntimeError)      not possible in the present state
├── SessionTakenError           (BlockingIOError)   another writer serves the session
└── SettingsError               (ValueError)        an option or environment setting is unusable

Each message says what happened, where, and what to do. The second base class is what a caller who
knows nothing of this package would expect to catch.
"""


class WriterError(Exception):
    """Base class of every error this package raises on purpose."""


class SourceError(WriterError):
    """What is received cannot be understood or reached."""


class SourceUnavailableError(SourceError, ConnectionError):
    """The data source (Redis, Beacon) cannot be reached."""


class ScanNotFoundError(SourceError, LookupError):
    """The source does not hold this scan, or no longer."""


class DecodeError(SourceError, ValueError):
    """Received bytes do not mean what their stream promises."""


class LayoutError(WriterError, ValueError):
    """A scan's description cannot become a file tree."""


class FileError(WriterError):
    """Something is wrong with a file on disk."""


class FilePathError(FileError, ValueError):
    """A path may not be used: relative, or outside the allowed roots."""


class FileAccessError(FileError, PermissionError):
    """The operating system refuses to create or change a file."""


class FileLockedError(FileError, BlockingIOError):
    """Another process has the file."""


class EntryExistsError(FileError, FileExistsError):
    """The file already holds an entry that this writer did not make."""


class DiskSpaceError(FileError, OSError):
    """There is not enough room on the disk."""


class DatasetError(WriterError, ValueError):
    """Points do not fit the dataset they are for."""


class UnknownScanError(WriterError, LookupError):
    """No scan of this name is known, or no longer."""


class StateError(WriterError, RuntimeError):
    """What was asked for is not possible in the present state."""


class SessionTakenError(WriterError, BlockingIOError):
    """Another writer serves the session; ``owner`` says which, for people."""

    def __init__(self, session: str, owner: str) -> None:
        super().__init__(
            f"session {session} is served by another writer: {owner}. Only one may: stop that one, "
            "then start this one again, or remove this one's registration"
        )
        self.session = session
        self.owner = owner


class SettingsError(WriterError, ValueError):
    """An option or an environment variable is unusable."""
