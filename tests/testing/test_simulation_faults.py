"""Bad input is as bad as it is asked to be, and the record says how bad."""

import pytest
from blissdata import DataStore, ScanState

from nexus_writer_service.testing.simulation import Faults, devices

pytestmark = pytest.mark.integration

DIODE = f"{devices.SAMPLING_CONTROLLER}:diode1"


def load(session, record):
    return DataStore(session.url).load_scan(record.key)


def entries(session, record):
    """Raw entries of the first diode, without the seal."""
    stream = session._client.json().get(record.key)["data_streams"][DIODE]["pk"]
    return session._client.xrange(f"esrf:stream:{stream}")[:-1]


def test_keys_are_missing_or_wrong_on_demand(simulated_session):
    faults = Faults(without=("title", "nexuswriter.devices", "devices"), info={"npoints": "x"})
    record = simulated_session.loopscan(2, faults=faults)
    info = record.info
    assert "title" not in info
    assert "devices" not in info
    assert list(info["nexuswriter"]) == ["instrument_info", "masterfiles"]
    assert info["npoints"] == "x"
    assert simulated_session._client.json().get(record.key)["info"] == info


def test_a_stream_has_an_unknown_encoding_or_plugin(simulated_session):
    faults = Faults(
        encodings={DIODE: {"type": "morse"}}, stream_info={"timer:epoch": {"plugin": "none"}}
    )
    record = simulated_session.loopscan(2, faults=faults)
    streams = simulated_session._client.json().get(record.key)["data_streams"]
    assert streams[DIODE]["encoding"] == {"type": "morse"}
    assert streams["timer:epoch"]["info"]["plugin"] == "none"
    assert streams["timer:epoch"]["info"]["dtype"] == "float64"


def test_an_entry_has_too_few_bytes(simulated_session):
    record = simulated_session.loopscan(6, block=2, faults=Faults(garbage={DIODE: 3}))
    payloads = [len(fields[b"payload"]) for _, fields in entries(simulated_session, record)]
    assert payloads == [16, 13, 16]
    assert record.channels[DIODE].garbage == 3


@pytest.mark.parametrize(("block", "first"), [(1, 5), (2, 6), (20, 10)])
def test_a_stream_is_trimmed_before_anybody_reads_it(block, first, simulated_session):
    record = simulated_session.loopscan(10, block=block, faults=Faults(trimmed={DIODE: 5}))
    starts = [int(key.split(b"-")[0]) for key, _ in entries(simulated_session, record)]
    assert starts == list(range(first, 10, block))
    assert record.channels[DIODE].first == first
    assert record.channels["timer:epoch"].first == 0


def test_a_stream_is_never_sealed(simulated_session):
    record = simulated_session.loopscan(3, faults=Faults(unsealed=frozenset({DIODE})))
    streams = load(simulated_session, record).streams
    assert not streams[DIODE].event_stream.is_sealed()
    assert streams["timer:epoch"].event_stream.is_sealed()


def test_a_scan_is_never_closed(simulated_session):
    record = simulated_session.loopscan(3, faults=Faults(unclosed=True))
    reader = load(simulated_session, record)
    assert reader.state is ScanState.STARTED
    assert len(reader.streams[DIODE]) == 3
    assert record.end_reason is None
