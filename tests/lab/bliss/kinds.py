"""The kinds of scans. A kind is a function of the lab that runs scans and returns them; its name is its file's name.

`lab` gives the session's objects by name (lab.robx, lab.diode1, ...), lab.saving (SCAN_SAVING), lab.note(text) for errors that
are part of the kind, and lab.run(scan), which runs a scan that may fail and notes its error.
"""

import gevent
import numpy
from bliss import current_session
from bliss.common.plot import plotselect
from bliss.common.scans import a2scan, amesh, ascan, ct, dscan, lookupscan, loopscan, pointscan, sct, timescan
from bliss.common.scans.simulation import FakeController
from bliss.scanning.acquisition.counter import SamplingCounterAcquisitionSlave
from bliss.scanning.acquisition.timer import SoftwareTimerMaster
from bliss.scanning.chain import AcquisitionChain
from bliss.scanning.channel import AcquisitionChannel
from bliss.scanning.group import Sequence
from bliss.scanning.scan import Scan, ScanState
from bliss.scanning.scan_info import ScanInfo

from acquisition import (
    CommentingPreset,
    FailInPrepare,
    FakeLima,
    InterruptWhenRunning,
    NDSlave,
    channel_scan,
    timed_scan,
)

KINDS = {}


def kind(function):
    """Register a kind under the name of its function."""
    KINDS[function.__name__] = function
    return function


# ------------------------------------------------------------------------------------------------ standard scans
@kind
def k01_ct_unsaved(lab):
    return [ct(0.05, lab.diode1, lab.diode2)]


@kind
def k02_sct(lab):
    return [sct(0.05, lab.diode1, lab.diode2, lab.diode_stats)]


@kind
def k03_loopscan(lab):
    return [loopscan(10, 0.02, lab.diode1, lab.diode2, lab.diode3, lab.diode_int)]


@kind
def k04_timescan(lab):
    return [timescan(0.02, lab.diode1, npoints=8)]


@kind
def k05_ascan(lab):
    lab.robx.move(0)
    return [ascan(lab.robx, 0, 1, 10, 0.02, lab.diode1, lab.diode2, lab.sim_gauss, lab.calc_mean)]


@kind
def k06_dscan(lab):
    lab.roby.move(0.5)
    return [dscan(lab.roby, -0.5, 0.5, 10, 0.02, lab.diode1, lab.calc_mean)]


@kind
def k07_a2scan(lab):
    return [a2scan(lab.robx, 0, 1, lab.roby, 2, 3, 10, 0.02, lab.diode1, lab.diode2)]


@kind
def k08_amesh(lab):
    return [amesh(lab.robx, 0, 1, 5, lab.roby, 10, 12, 3, 0.02, lab.diode1, lab.diode2)]


@kind
def k10_pointscan_lookup(lab):
    return [
        pointscan(lab.robx, [0, 0.3, 0.7, 2.0], 0.02, lab.diode1),
        lookupscan([(lab.robx, [0, 1, 2]), (lab.roby, [5, 4, 3])], 0.02, lab.diode1),
    ]


@kind
def k11_mca(lab):
    lab.mca1.rois.clear()
    lab.mca1.rois.set("roi1", 400, 600)
    lab.mca1.rois.set("roi2", 100, 200)
    return [ascan(lab.robx, 0, 1, 4, 0.05, lab.diode1, lab.mca1), loopscan(3, 0.05, lab.mca1)]


@kind
def k13_stats_samples(lab):
    return [
        ascan(lab.robx, 0, 1, 5, 0.1, lab.diode_stats, lab.diode_samples, lab.diode1),
        loopscan(4, 0.05, lab.diode_stats, lab.diode_samples),
    ]


# ------------------------------------------------------------------------------------------- dtypes, shapes, images
@kind
def k14_nd_dtypes(lab):
    scan = timed_scan(NDSlave(npoints=6), "nd_dtypes", "nd dtypes", 6, more_info={"count_time": 0.01})
    return [lab.run(scan)]


@kind
def k14c_dtype_complex(lab):
    return [lab.run(channel_scan("dtype_complex128", "dtype complex128", numpy.complex128, (), 4))]


@kind
def k14e_ragged(lab):
    shapes = [
        ("ragged1d_f8", numpy.float64, (-1,)),
        ("ragged1d_u4", numpy.uint32, (-1,)),
        ("ragged2d", numpy.int32, (-1, 4)),
    ]
    return [lab.run(channel_scan(name, name, dtype, shape, 6, channel="r", slave="rg")) for name, dtype, shape in shapes]


@kind
def k15_fakecontroller_2d(lab):
    counters = [
        {"counter_name": "fake0D", "data_gen": "random"},
        {"counter_name": "fake1D", "data_gen": "random", "data_size": 64},
        {"counter_name": "fake2D", "data_gen": "random", "data_size": (8, 8)},
    ]
    return [ascan(lab.robx, 0, 1, 5, 0.02, FakeController("fakectl", {"counters": counters}), lab.diode1)]


@kind
def k16_fakelima(lab):
    scans = []
    for frames, frames_per_file in ((4, 2), (5, 2), (1, 1)):
        chain = AcquisitionChain()
        chain.add(FakeLima(npoints=frames, frames_per_file=frames_per_file))
        info = {"npoints": frames, "title": f"fake lima {frames}", "type": "lab"}
        scans.append(lab.run(Scan(chain, f"fakelima{frames}", scan_info=info)))
    return scans


# ------------------------------------------------------------------------------------------------------- metadata
@kind
def k17_metadata_presets_plots(lab):
    meta = current_session.user_scan_meta
    type(getattr(meta, "__wrapped__", meta)).add_categories(["sample"])
    sample = {
        "name": "LaB6", "@NX_class": "NXsample", "temperature": 293.5, "temperature@units": "K", "tags": ["a", "b"],
        "matrix": numpy.eye(3).tolist(), "nothing": None, "flag": True, "n": 3, "u": "\u00e9\u03b1",
    }  # fmt: skip
    meta.sample.set("lab_sample", sample)
    meta.instrument.set("lab_instr", {"labdet": {"@NX_class": "NXdetector", "gain": 4, "mode": "fast"}})
    meta.technique.set("lab_tech", {"lab_tech": {"@NX_class": "NXcollection", "energy": 12.4}})
    info = ScanInfo()
    info.update({"lab_param": {"a": 1, "b": [1, 2, 3]}, "sample_id": "S1"})
    diode = "simulation_diode_sampling_controller:diode"
    info.add_curve_plot(name="lab_curve", x="axis:robx", yleft=[diode + "1"], yright=[diode + "2"])
    info.add_scatter_plot(name="lab_scatter", x="axis:robx", y=diode + "1", value=diode + "2")
    plotselect(lab.diode1)
    try:
        scan = ascan(lab.robx, 0, 1, 6, 0.02, lab.diode1, lab.diode2, run=False, scan_info=info)
        scan.add_preset(CommentingPreset())
        scan.add_comment("user comment before run")
        scan.run()
    finally:
        for category in (meta.sample, meta.instrument, meta.technique):
            for key in [k for k in category.keys if str(k).startswith("lab")]:
                category.metadata.pop(key, None)
        plotselect()
    return [scan]


@kind
def k17g_grid_plots(lab):
    scans = []
    plotselect(lab.diode1, lab.diode2)
    try:
        for back_and_forth in (False, True):
            axes = (lab.robx, 0, 1, 4, lab.roby, 10, 12, 2)
            scans.append(amesh(*axes, 0.02, lab.diode1, lab.diode2, backnforth=back_and_forth))
    finally:
        plotselect()
    return scans


# ----------------------------------------------------------------------------------- sequences, masters, parallel
@kind
def k18_sequence(lab):
    sequence = Sequence(title="lab_sequence", scan_info={"lab_seq": "x"})
    sequence.add_custom_channel(AcquisitionChannel("mychannel", float, ()))
    scans = []
    with sequence.sequence_context() as context:
        for n in (3, 4):
            scans.append(loopscan(n, 0.02, lab.diode1, run=False))
            context.add_and_run(scans[-1])
            sequence.custom_channels["mychannel"].emit([float(n)])
        scans.append(ascan(lab.robx, 0, 1, 3, 0.02, lab.diode1, run=False))
        context.add_and_run(scans[-1])
    return [sequence.scan, *scans]


@kind
def k19_group_existing(lab):
    scans = [loopscan(3, 0.02, lab.diode1), loopscan(2, 0.02, lab.diode2)]
    sequence = Sequence(title="lab_group_of_done_scans")
    with sequence.sequence_context() as context:
        for scan in scans:
            context.add(scan)
    return [*scans, sequence.scan]


@kind
def k20_multi_top_master(lab):
    chain = AcquisitionChain(parallel_prepare=True)
    for name, period, npoints, counter in (("fast", 0.03, 6, lab.diode1), ("slow", 0.07, 3, lab.diode2)):
        timer = SoftwareTimerMaster(period, npoints=npoints, name=name)
        timer.terminator = False
        chain.add(timer, SamplingCounterAcquisitionSlave(counter, count_time=period, npoints=npoints))
    scan = Scan(chain, "twotop", scan_info={"title": "two top masters", "type": "lab"})
    scan.run()
    return [scan]


@kind
def k21_parallel(lab):
    scans = [
        loopscan(12, 0.04, lab.diode1, run=False, name="par_a"),
        loopscan(9, 0.05, lab.diode2, run=False, name="par_b"),
    ]
    gevent.joinall([gevent.spawn(scan.run) for scan in scans], raise_error=True)
    return scans


# ------------------------------------------------------------------------------------------ aborted, failed, not saved
@kind
def k22_aborted_ctrl_c(lab):
    scan = ascan(lab.robx, 0, 1, 40, 0.05, lab.diode1, lab.diode2, run=False)
    task = gevent.spawn(scan.run)
    while scan.state < ScanState.STARTING:
        gevent.sleep(0.01)
    gevent.sleep(0.6)
    task.kill(KeyboardInterrupt, block=True)
    return [scan]


@kind
def k23_aborted_ctrl_c_direct(lab):
    scan = loopscan(40, 0.05, lab.diode1, run=False)
    scan.add_preset(InterruptWhenRunning(0.4))
    return [lab.run(scan)]


@kind
def k25_fail_in_prepare(lab):
    scan = loopscan(5, 0.02, lab.diode1, run=False)
    scan.add_preset(FailInPrepare())
    return [lab.run(scan)]


@kind
def k27_save_false(lab):
    return [loopscan(3, 0.02, lab.diode1, save=False)]


@kind
def k29_long_timescan_stop(lab):
    scan = timescan(0.02, lab.diode1, run=False)
    task = gevent.spawn(scan.run)
    gevent.sleep(1.0)
    scan.stop()
    task.join()
    return [scan]


# ------------------------------------------------------------------------------------------------ files and storage
@kind
def k28_many_in_one_file(lab):
    return [
        loopscan(3, 0.02, lab.diode1),
        ascan(lab.robx, 0, 1, 3, 0.02, lab.diode1),
        amesh(lab.robx, 0, 1, 2, lab.roby, 0, 1, 2, 0.02, lab.diode1),
        sct(0.02, lab.diode1),
    ]


@kind
def k31_bigdata_1d(lab):
    class Big(NDSlave):
        SPEC = [("spec", numpy.uint32, (4096,)), ("img", numpy.uint16, (256, 256))]

    scan = timed_scan(Big(name="big", npoints=20), "big", "big", 20)
    scan.run()
    return [scan]


@kind
def k33_separate_scan_files(lab):
    options = lab.saving.writer_object
    options.separate_scan_files = True
    try:
        return [loopscan(3, 0.02, lab.diode1), ascan(lab.robx, 0, 1, 3, 0.02, lab.diode1)]
    finally:
        options.separate_scan_files = None


@kind
def k34_compression_options(lab):
    def image_scan(name):
        title = name.replace("_", " ", 1)
        return channel_scan(name, title, numpy.uint16, (256, 256), 10, channel="img", slave="big", period=0.005)

    scans = []
    options = lab.saving.writer_object
    for scheme in ("none", "gzip", "byteshuffle", "bitshuffle", "lz4-bitshuffle"):
        try:
            options.compression_scheme = scheme
        except AttributeError as error:
            lab.note(f"{scheme}: {error}")
            continue
        scans.append(lab.run(image_scan("big_" + scheme)))
        options.compression_scheme = None
    options = lab.saving.writer_object
    options.chunk_size, options.compression_limit = 0.05, 0.01
    scans.append(lab.run(image_scan("big_chunk")))
    options._options.clear()
    return scans
