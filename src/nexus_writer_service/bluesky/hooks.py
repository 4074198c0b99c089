"""The methods that subclasses override to change what is in a file.

They are called when a run is over, in the thread that writes, with the open file as ``self.root``;
and only if a subclass overrides at least one of them. By then all else is in the file, so the
methods here find their groups there and return them. What they change shows with one commit: all of
it, or nothing.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

from nexus_writer_service.bluesky.base import FileWriterCallbackBase
from nexus_writer_service.bluesky.facts import Record
from nexus_writer_service.hdf5.edit import merge_into, read_list, take_out
from nexus_writer_service.layout.bluesky import BlueskyPlan
from nexus_writer_service.model.tree import Group

_log = logging.getLogger(__name__)

_VALUES: Final = ("value", "EPOCH", "time", "value_start", "value_end")
OMITTED: Final = {
    "write_metadata": "metadata",
    "write_source": "source",
    "write_detector": "detector",
    "write_monochromator": "monochromator",
    "write_positioner": "positioner",
    "write_data": "data",
    "write_sample": "sample",
    "write_user": "user",
    "write_undulator": "undulator",
}
"""Parts that are not written before the method for them is called, if a subclass has its own."""
HOOKS: Final = (
    *OMITTED,
    "write_root",
    "write_entry",
    "write_instrument",
    "write_streams",
    "write_stream_internal",
    "write_stream_external",
    "write_slits",
    "write_templates",
    "assign_signal_type",
)


class Hooks(FileWriterCallbackBase):
    """Writes the file step by step, each step a method of its own."""

    root: Any = None
    """The open file (``h5py.File``) while these methods run."""

    _plan: BlueskyPlan | None = None
    _problems: list[str]
    _put_back: Callable[[], None] | None = None

    # --------------------------------------------------------------------------------- steps

    def write_root(self, filename: Any) -> None:
        """The attributes of the file, and its entry.

        Args:
            filename: path of the file.
        """
        self.write_entry()

    def write_entry(self) -> Any:
        """The NXentry and all that is in it."""
        nxentry = self.create_NX_group(self.root, "entry:NXentry")
        self._merge("times", nxentry)
        self.write_instrument(nxentry)
        try:
            self.write_data(nxentry)
        except KeyError as error:
            _log.warning("no default plot: %s", error)
        self.write_sample(nxentry)
        self.write_user(nxentry)
        self.write_templates()
        return nxentry

    def write_instrument(self, parent: Any) -> Any:
        """The NXinstrument with metadata and streams.

        Args:
            parent: the NXentry.
        """
        nxinstrument = self.create_NX_group(parent, "instrument:NXinstrument")
        bluesky = self.create_NX_group(nxinstrument, "bluesky:NXnote")
        self.write_metadata(bluesky)
        self.write_streams(bluesky)
        self._merge("bluesky", nxinstrument)
        self.assign_signal_type()
        self.write_slits(nxinstrument)
        self.write_detector(nxinstrument)
        self.write_monochromator(nxinstrument)
        self.write_positioner(nxinstrument)
        self.write_source(nxinstrument)
        return nxinstrument

    def write_metadata(self, parent: Any) -> Any:
        """The start document.

        Args:
            parent: the group ``bluesky``.
        """
        return self._merge("metadata", parent)

    def write_streams(self, parent: Any) -> Any:
        """The streams, which are in the file.

        Args:
            parent: the group ``bluesky``.
        """
        bluesky = self.create_NX_group(parent, "streams:NXnote")
        if self._overridden("write_stream_internal", "write_stream_external"):
            self._write_each_stream(bluesky)
        return bluesky

    def write_stream_internal(
        self,
        parent: Any,
        d: Any,
        subgroup: Any,
        stream_name: str,
        k: str,
        v: Mapping[str, Any],
    ) -> None:
        """The values of a data key.

        Args:
            parent: the group of the stream.
            d: the values.
            subgroup: the NXdata for them.
            stream_name: name of the stream.
            k: the data key.
            v: what is known of it.
        """
        if self._put_back is not None:
            self._put_back()

    def write_stream_external(
        self,
        parent: Any,
        d: Any,
        subgroup: Any,
        stream_name: str,
        k: str,
        v: Mapping[str, Any],
    ) -> None:
        """The values of a data key that are in files; as ``write_stream_internal``."""
        if self._put_back is not None:
            self._put_back()

    def assign_signal_type(self) -> None:
        """Whether a signal is of a detector or a positioner: it is in the file."""

    def write_slits(self, parent: Any) -> Any:
        """The slits: none are known.

        Args:
            parent: the NXinstrument.
        """

    def write_detector(self, parent: Any) -> Any:
        """The detectors; None when there are none. ``parent``: the NXinstrument."""
        return self._merge("detector", parent)

    def write_monochromator(self, parent: Any) -> Any:
        """The monochromator; None when there is none. ``parent``: the NXinstrument."""
        return self._merge("monochromator", parent)

    def write_positioner(self, parent: Any) -> Any:
        """The positioners; None when there are none. ``parent``: the NXinstrument."""
        return self._merge("positioner", parent)

    def write_source(self, parent: Any) -> Any:
        """The source; None when there is none. ``parent``: the NXinstrument."""
        return self._merge("source", parent)

    def write_data(self, parent: Any) -> Any:
        """The default plot. ``parent``: the NXentry."""
        return self._merge("data", parent)

    def write_sample(self, parent: Any) -> Any:
        """The sample; None when nothing is known. ``parent``: the NXentry."""
        return self._merge("sample", parent)

    def write_user(self, parent: Any) -> Any:
        """Whom to ask; None when nobody is known. ``parent``: the NXentry."""
        return self._merge("user", parent)

    def write_templates(self) -> None:
        """What the templates of the start document ask for."""
        if self._plan is None:
            return
        tree, problems = self._plan.templates(self.root.__contains__)
        self._problems += [*problems, *merge_into(self.root["/"], tree)]

    # --------------------------------------------------------------------------------- tools

    def create_NX_group(self, parent: Any, specification: str) -> Any:  # noqa: N802 - a known name
        """A group with its class and its path in attributes; one that exists is returned.

        Args:
            parent: the group above.
            specification: ``name:NXclass``.

        Raises:
            ValueError: the class does not begin with NX, or the group exists with another one.
        """
        name, _, nx_class = specification.partition(":")
        if not nx_class.startswith("NX"):
            raise ValueError(f"NeXus class must start with NX: {specification!r}")
        group = parent.require_group(name)
        found = group.attrs.get("NX_class", nx_class)
        if found != nx_class:
            raise ValueError(f"{group.name} exists as {found}, not as {nx_class}")
        group.attrs["NX_class"] = nx_class
        group.attrs["target"] = group.name
        return group

    def add_dataset_attributes(
        self, ds: Any, v: Mapping[str, Any], long_name: str | None = None
    ) -> None:
        """Say of a dataset what is known of its data key.

        Args:
            ds: the dataset.
            v: the record of the data key, from ``acquisitions``.
            long_name: None for none.
        """
        ds.attrs["units"] = v["units"] or ""
        ds.attrs["source"] = v["source"]
        ds.attrs["target"] = ds.name
        if long_name is not None:
            ds.attrs["long_name"] = long_name
        if v["dtype"] != "string":
            ds.attrs["precision"] = v["precision"] or 0
            for limit in ("lower_ctrl_limit", "upper_ctrl_limit"):
                if v[limit] is not None:
                    ds.attrs[limit] = v[limit]

    def get_stream_link(
        self, signal: str, stream: str | None = None, ref: str | None = None
    ) -> Any:
        """The dataset of a signal in a stream.

        Args:
            signal: the data key.
            stream: name of the stream; None for ``baseline``.
            ref: which dataset; None for ``value_start``.

        Raises:
            KeyError: there is none.
        """
        path = f"/entry/instrument/bluesky/streams/{stream or 'baseline'}/{signal}"
        address = f"{path}/{ref or 'value_start'}"
        if address not in self.root:
            raise KeyError(f"{address}: no such signal in the file")
        return self.root[address]

    def resolve_class_path(self, path: str) -> str:
        """Make the groups ``name:NXclass`` of a path that are missing; the path without classes."""
        group, plain = self.root["/"], ""
        for part in path.strip("/").split("/"):
            name = part.partition(":")[0]
            plain = f"{plain}/{name}"
            if ":" in part:
                group = self.create_NX_group(group, part)
            elif name in group and hasattr(group[name], "keys"):
                group = group[name]
        return plain

    def h5string(self, text: Any) -> Any:
        """Text as h5py takes it: encoded in UTF-8; lists item by item."""
        if isinstance(text, tuple | list):
            return [self.h5string(one) for one in text]
        return str(text).encode("utf8") if text else b""

    # -------------------------------------------------------------------------------- inside

    def _merge(self, part: str, parent: Any) -> Any:
        """Merge a part of the layout; returns its group, if it has one."""
        if self._plan is None:
            return None
        tree = self._plan.part(part)
        self._problems += merge_into(parent, tree)
        names = [name for name, node in tree.children.items() if isinstance(node, Group)]
        return parent[names[0]] if names else None

    def _overridden(self, *names: str) -> bool:
        """Whether a subclass of somebody else has its own method of one of the names."""
        own = __name__.rpartition(".")[0]
        return any(
            name in self.__dict__ or not _module_of(type(self), name).startswith(own)
            for name in names
            if hasattr(self, name)
        )

    def _write_each_stream(self, streams: Any) -> None:
        for stream, key, record in list(self.facts.records()):
            group = streams.get(stream)
            subgroup = group.get(key) if group is not None else None
            if subgroup is None:
                continue
            values, _ = list(record["data"]), record["time"]  # read while they are there
            self._put_back = take_out(subgroup, _VALUES)
            write = self.write_stream_external if record["external"] else self.write_stream_internal
            try:
                write(group, values, subgroup, stream, key, record)
            finally:
                self._put_back()
                self._put_back = None

    def _let_records_load(self) -> None:
        """From now on records read their values from the file."""
        for stream, key, record in self.facts.records():
            record.load = self._loader(stream, key, record)

    def _loader(self, stream: str, key: str, record: Record) -> Callable[[str], list[Any]]:
        path = f"/entry/instrument/bluesky/streams/{stream}/{key}"
        names = {"data": "value", "time": "EPOCH"}

        def load(name: str) -> list[Any]:
            return read_list(self.root, f"{path}/{names[name]}") if self.root is not None else []

        return load


def _module_of(kind: type, name: str) -> str:
    return str(getattr(getattr(kind, name), "__module__", ""))
