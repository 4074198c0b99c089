"""Files of detectors, and the documents that tell of them."""

import h5py
import numpy as np

SHAPE = (4, 6)


STREAMED = {"dtype": "array", "shape": [1, *SHAPE], "external": "STREAM:", "dtype_numpy": "<u2"}


def only(results):
    (result,) = results
    return result


def frames(count, first=0):
    size = SHAPE[0] * SHAPE[1]
    return np.arange(first * size, (first + count) * size, dtype=np.uint16).reshape(count, *SHAPE)


def save(path, data, address="entry/data/data"):
    with h5py.File(path, "w") as file:
        file[address] = data


def stored(result):
    with h5py.File(result.file) as file:
        dataset = file["entry/instrument/bluesky/streams/primary/cam/value"]
        return dataset[()], dataset.is_virtual


def stream_resource(run, path, key="cam", address="/entry/data/data", **more):
    return "stream_resource", {
        "uid": f"stream-{key}",
        "data_key": key,
        "mimetype": "application/x-hdf5",
        "uri": f"file://localhost{path}",
        "parameters": {"dataset": address, "chunk_shape": (1, *SHAPE)},
        "run_start": run.uid,
        **more,
    }


def stream_datum(descriptor, first, stop, key="cam"):
    return "stream_datum", {
        "uid": f"stream-{key}/{first}",
        "stream_resource": f"stream-{key}",
        "descriptor": descriptor[1]["uid"],
        "indices": {"start": first, "stop": stop},
        "seq_nums": {"start": first + 1, "stop": stop + 1},
    }
