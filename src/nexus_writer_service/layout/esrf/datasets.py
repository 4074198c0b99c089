"""The node that holds the points of a channel."""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

from nexus_writer_service.layout.esrf import storage
from nexus_writer_service.layout.esrf.slots import Slot
from nexus_writer_service.model.description import (
    Channel,
    ImageFiles,
    ScanDescription,
    Shape,
    StorageOptions,
)
from nexus_writer_service.model.tree import Attributes, ImageStack, StreamDataset, Value


@dataclass(frozen=True, slots=True)
class EsrfOptions:
    """How scans are laid out: the save options of the writer."""

    keepshape: bool = False
    """Grid scans keep their dimensions instead of being one long axis."""
    multivalue_positioners: bool = False
    """Positioners that move together share one NXpositioner."""
    configurable: bool = True
    """Whether what the session says of devices, instrument and master files counts."""
    external_hdf5: bool = True
    """Image files in HDF5 are mapped as virtual datasets."""
    external_nonhdf5: bool = False
    """Uncompressed EDF files are mapped as HDF5 external storage."""
    copy_non_external: bool = False
    """Images that are not mapped are copied; otherwise the texts ``path::index`` are saved."""
    stack_mcas: bool = False
    """The application APPxrf stacks MCAs in one dataset instead of one link each."""
    compression: str = storage.DEFAULT_COMPRESSION
    """Name of the compression scheme of scans for which BLISS chose none."""


def saved_shape(shape: Shape, options: EsrfOptions) -> Shape:
    """Shape of a scan in its datasets, with the expected lengths, slow axis first."""
    if len(shape) > 1 and not options.keepshape:
        return (math.prod(shape),)
    return shape or (0,)


def dataset(slot: Slot, scan: ScanDescription, options: EsrfOptions) -> StreamDataset | ImageStack:
    """The dataset of a slot."""
    attributes: dict[str, Value] = {}
    if slot.unit:
        attributes["units"] = slot.unit
    if meaning := storage.interpretation(saved_shape(scan.shape, options), slot.channel.shape):
        attributes["interpretation"] = meaning
    return channel_dataset(slot.channel, scan, options, attributes)


def channel_dataset(
    channel: Channel, scan: ScanDescription, options: EsrfOptions, attributes: Attributes
) -> StreamDataset | ImageStack:
    """The dataset of a channel of numbers or images, stored as the options say."""
    shape = saved_shape(scan.shape, options)
    grid = shape if len(shape) > 1 else (0,)
    chosen = _chosen(scan.storage, options.compression)
    layout = storage.layout(shape, channel.shape, channel.dtype, chosen)
    if channel.images is None:
        return StreamDataset(
            channel=channel.name,
            dtype=channel.dtype,
            sample=channel.shape,
            scan=grid,
            chunks=layout.chunks,
            filters=layout.filters,
            fill=storage.fill_value(channel.dtype),
            attributes=attributes,
        )
    copied = image_storage(channel.images, options) == "copy"
    return ImageStack(
        channel=channel.name,
        dtype=channel.dtype,
        sample=channel.shape,
        files=channel.images,
        scan=grid,
        storage=image_storage(channel.images, options),
        chunks=layout.chunks if copied else (),
        filters=layout.filters if copied else storage.COMPRESSIONS["none"],
        fill=storage.fill_value(channel.dtype),
        attributes=attributes,
    )


@lru_cache
def _chosen(wanted: StorageOptions, compression: str) -> StorageOptions:
    """What the user wants, with a compression scheme where none was chosen."""
    return wanted if wanted.compression else replace(wanted, compression=compression)


def image_storage(files: ImageFiles, options: EsrfOptions) -> str:
    """How the frames of a detector's files come into the dataset [tree.ImageStack]."""
    if options.external_hdf5 and storage.is_hdf5(files.file_format):
        return "virtual"
    if options.external_nonhdf5 and storage.is_plain_edf(files.file_format):
        return "raw"
    return "copy" if options.copy_non_external else "uris"


def is_text(channel: Channel, options: EsrfOptions) -> bool:
    """Whether the dataset of a channel holds texts, the places of its images."""
    return channel.images is not None and image_storage(channel.images, options) == "uris"
