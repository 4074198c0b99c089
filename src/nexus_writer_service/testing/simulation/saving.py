"""Where a session saves its scans: with and without the ESRF data policy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


class Saving(Protocol):
    """Where scans go."""

    @property
    def policy(self) -> str:
        """Name of the data policy: ``None`` or ``ESRF``."""

    @property
    def file(self) -> Path:
        """Absolute path of the dataset file."""

    @property
    def master_files(self) -> dict[str, str]:
        """Files that link to the dataset file's entries, by kind."""

    @property
    def identity(self) -> dict[str, str]:
        """What a scan's identity says of it."""


@dataclass(frozen=True, slots=True)
class PlainSaving:
    """Without data policy: ``<root>/<session>/<name>.h5``."""

    root: Path
    session: str
    name: str = "dataset"

    policy = "None"

    @property
    def file(self) -> Path:
        """Absolute path of the dataset file."""
        return self.root.absolute() / self.session / f"{self.name}.h5"

    @property
    def master_files(self) -> dict[str, str]:
        """None."""
        return {}

    @property
    def identity(self) -> dict[str, str]:
        """Nothing."""
        return {}


@dataclass(frozen=True, slots=True)
class EsrfSaving:
    """With the ESRF data policy, in version 3 of its folder structure."""

    root: Path
    proposal: str = "blc00001"
    beamline: str = "id00"
    date: str = "20261101"
    collection: str = "sample"
    dataset: str = "0001"

    policy = "ESRF"

    @property
    def _raw_data(self) -> Path:
        return self.root.absolute() / self.proposal / self.beamline / self.date / "RAW_DATA"

    @property
    def file(self) -> Path:
        """Absolute path of the dataset file."""
        name = f"{self.collection}_{self.dataset}"
        return self._raw_data / self.collection / name / f"{name}.h5"

    @property
    def master_files(self) -> dict[str, str]:
        """The file of the collection and that of the proposal."""
        collection = self._raw_data / self.collection / f"{self.proposal}_{self.collection}.h5"
        proposal = self._raw_data / f"{self.proposal}_{self.beamline}.h5"
        return {"dataset_collection": str(collection), "proposal": str(proposal)}

    @property
    def identity(self) -> dict[str, str]:
        """Proposal, collection and dataset."""
        return {
            "proposal": self.proposal,
            "collection": self.collection,
            "dataset": self.dataset,
        }
