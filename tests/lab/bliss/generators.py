"""What a session tells the writer of itself: our generators of metadata beside the reference's.

    generators.py --out OUT      compare them; exit status 1 if they differ in more than the session's choice explains

Each scan runs twice, once with the reference's generators and once with ours, and what both put into the scan info has to be the
same: for counters of every kind that has a type of its own (of controllers that are not here, the real classes of counters on a
controller without hardware), with aliases, below the data policy of the ESRF and without, with a file per scan, saved or not.
Then what only ours do: techniques, and generators that fail.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
from types import SimpleNamespace

from session import Lab  # first: it imports bliss before everything else

import bliss.scanning.writer.nexus as of_writers
from bliss import current_session, global_map
from bliss.common.auto_filter.counters import AutoFilterCalcCounter
from bliss.common.counter import Counter, SoftCounter
from bliss.common.scans import loopscan
from bliss.config import static
from bliss.controllers.counter import CounterController
from bliss.controllers.lima import bpm, counters, image
from bliss.controllers.lima2 import counter as lima2
from bliss.controllers.mca import counter as mca
from bliss.controllers.mca import mythen
from bliss.controllers.mosca import counters as mosca
from bliss.scanning.scan_meta import get_user_scan_meta

TOP = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", ".."))
REFERENCE = of_writers.register_all_metadata_generators
TECHNIQUES = {
    "technique": {
        "default": "align",
        "techniques": {"align": {"plots": ["counters"]}, "xrf": {"plots": ["counters"], "applications": ["xrf"]}},
        "applications": {"xrf": {"class": "APPxrf", "I0": "diode1"}},
        "plots": {"counters": {"items": ["diode1", "diode2"], "grid": True}},
    }
}


def use_our_generators():
    """BLISS registers generators whenever it makes a writer: let it take ours, as with our package in place of the reference."""
    sys.path.insert(1, os.path.join(TOP, "src"))
    from nexus_writer_service.metadata import register_all_metadata_generators

    register_all_metadata_generators()
    of_writers.register_all_metadata_generators = register_all_metadata_generators


def use_reference_generators():
    """As BLISS comes; what ours had more is taken away."""
    of_writers.register_all_metadata_generators = REFERENCE
    REFERENCE()
    category = get_user_scan_meta().nexuswriter
    if category.is_set("technique"):
        category.remove("technique")


# ------------------------------------------------------------------------------------------------ counters of all kinds
def made(kind, name, controller, **attributes):
    """A counter of this class on a controller without hardware."""
    counter = kind.__new__(kind)
    counter.__dict__.update(attributes)
    Counter.__init__(counter, name, controller)
    return counter


class Multichannel(CounterController):
    """The controller of an analyser with some detectors, without the analyser."""

    def __init__(self, name, active):
        super().__init__(name)
        self._mca = SimpleNamespace(active_channels=dict(enumerate(active)))
        self.elements = list(active)
        self.rois = SimpleNamespace(get=lambda name: (0, 1))


def counters_of_all_kinds():
    """Registered with the session as counters of controllers are; returned, as the session does not keep controllers."""
    camera, second = CounterController("cam1"), CounterController("cam2")
    bpm_of_camera = CounterController("bpm", master_controller=camera)
    analyser, falcon = Multichannel("xmap1", (0, 2)), Multichannel("falconx", (1, 12))
    strips, filters = Multichannel("mythen1", (0,)), CounterController("filters1")
    roi = SimpleNamespace(name="roi1", to_dict=dict)
    for region, channel in (("Fe_det01", 1), ("Fe_sum_all", -1), ("Fe_sum_01_12", (1, 12))):
        made(mosca.ROICounter, region, falcon, _mca_roi=SimpleNamespace(channel=channel))
    return [
        made(image.ImageCounter, "image", camera),
        made(bpm.LimaBpmCounter, "fwhm_x", bpm_of_camera),
        made(counters.RoiStatCounter, "roi1_sum", camera),
        made(counters.RoiProfileCounter, "profile1", camera),
        made(counters.RoiCollectionCounter, "collection1", camera),
        made(lima2.FrameCounter, "frame", second),
        lima2.RoiStatCounter(roi, lima2.RoiStat.Sum, second, float),
        made(lima2.RoiProfCounter, "profile1", second),
        mca.SpectrumMcaCounter(analyser, 0),
        mca.StatisticsMcaCounter(analyser, "icr", 2),
        mca.RoiMcaCounter(analyser, "roi1", 0),
        mca.RoiSumMcaCounter(analyser, "roi1"),
        mca.RoiIntegralCounter(analyser, "counts", 0),
        made(mythen.MythenCounter, "spectrum", strips),
        mythen.RoiMythenCounter(strips, "roi1", None),
        made(mosca.SpectrumCounter, "spectrum", falcon),
        made(mosca.StatCounter, "icr", falcon),
        AutoFilterCalcCounter("ratio", filters, dtype=float),
        SoftCounter(SimpleNamespace(name="soft1", value=1.0), name="soft_value"),
        *(camera, second, bpm_of_camera, analyser, falcon, strips, filters),
    ]


# ------------------------------------------------------------------------------------------------ comparison
class Comparison:
    """Counts what agrees; prints what does not."""

    def __init__(self):
        self.agree = self.differ = 0

    def check(self, what, found, expected):
        if found == expected:
            self.agree += 1
            return
        self.differ += 1
        print(f"DIFFERENT: {what}")
        for key in sorted({*found, *expected}) if isinstance(found, dict) and isinstance(expected, dict) else ():
            if found.get(key) != expected.get(key):
                print(f"  {key}: ours {json.dumps(found.get(key))}, expected {json.dumps(expected.get(key))}")
        if not isinstance(found, dict):
            print(f"  ours {found!r}, expected {expected!r}")


def told(scan):
    """What the scan told the writer."""
    return json.loads(json.dumps(dict(scan.scan_info).get("nexuswriter"), default=str))


def scan_both_ways(comparison, what, scan):
    """Run a scan with the reference's generators and with ours."""
    use_reference_generators()
    expected = scan()
    use_our_generators()
    found = scan()
    comparison.check(what, told(found), told(expected))
    same = sorted(found.scan_info["scan_meta_categories"]) == sorted(expected.scan_info["scan_meta_categories"])
    comparison.check(f"{what}: categories", same, True)
    return found


class Warnings(logging.Handler):
    """The warnings of our generators."""

    def __init__(self):
        super().__init__(logging.WARNING)
        self.texts = []

    def emit(self, record):
        self.texts.append(record.getMessage())


def plain_session(comparison, out):
    lab = Lab("test_session", "external")
    lab.saving.base_path = out
    lab.save_to("generators", "generators")
    alias = global_map.aliases
    kept = counters_of_all_kinds()

    def scan(**options):
        return loopscan(1, 0.01, lab.diode1, lab.diode_stats, **options)

    found = told(scan_both_ways(comparison, "counters of all kinds", scan))
    types = {record.get("device_type") for record in found["devices"].values()}
    known = {"mythen", "mca", "mosca", "lima", "lima2", "autofilter", "samplingcounter", None}
    comparison.check("types of devices", types, known)
    for name, counter in (("I0", "diode1"), ("beside", "diode_stats")):
        alias.add(name, f"simulation_diode_sampling_controller:{counter}")
    scan_both_ways(comparison, "aliases", lambda: loopscan(1, 0.01, lab.I0, lab.diode2))
    scan_both_ways(comparison, "not saved", lambda: scan(save=False))
    lab.saving.writer_object.separate_scan_files = True
    scan_both_ways(comparison, "a file per scan", scan)
    lab.saving.writer_object.separate_scan_files = None

    only_ours(comparison, scan)
    del kept


def only_ours(comparison, scan):
    """What the reference has not: techniques, and trouble that stays small."""
    root = static.get_config().root
    root["nexus_definitions"] = TECHNIQUES
    technique = told(scan())["technique"]
    comparison.check("the default technique", (technique["name"], technique["plotselect"]), ("align", "counters"))
    warnings = Warnings()
    logging.getLogger("nexus_writer_service").addHandler(warnings)
    root["nexus_definitions"] = {"technique": 3.14}
    comparison.check("nonsense in the configuration", "technique" in told(scan()), False)
    del root["nexus_definitions"]

    broken = made(mosca.SpectrumCounter, "spectrum", CounterController("broken"))
    comparison.check("a counter that cannot be asked", told(scan())["devices"]["broken:spectrum"], {})
    comparison.check("its warning", [text.split(":")[0] for text in warnings.texts], ["counter broken"])
    counters = global_map.get_counters_iter
    global_map.get_counters_iter = lambda: 1 / 0
    warnings.texts.clear()
    try:
        one = scan()
    finally:
        global_map.get_counters_iter = counters
    comparison.check("a generator that fails", told(one)["devices"], {})
    comparison.check("the scan with it", one.state.name, "DONE")
    comparison.check("its warning", [text.split(" (")[0] for text in warnings.texts],
                     [f"scan {one.identifier}: the metadata 'device_info' could not be made"])  # fmt: skip
    del broken


def esrf_session(comparison):
    lab = Lab("esrf_session", "nexus")
    lab.saving.writer = "external"
    lab.saving.newproposal("blc00002")
    lab.saving.newcollection("sampleA")
    lab.saving.newdataset("first")

    def scan():
        return loopscan(1, 0.01, lab.diode1)

    found = told(scan_both_ways(comparison, "data policy", scan))
    comparison.check("master files", sorted(found["masterfiles"]), ["dataset_collection", "proposal"])
    lab.saving.writer_object.separate_scan_files = True
    found = told(scan_both_ways(comparison, "data policy, a file per scan", scan))
    comparison.check("master files", sorted(found["masterfiles"]), ["dataset", "dataset_collection", "proposal"])
    lab.saving.writer_object.separate_scan_files = None
    static.get_config().root["nexus_definitions"] = {"technique": {"default": "align", "techniques": {"xrf": {}}}}
    current_session.scan_saving.dataset["definition"] = "XRF"
    comparison.check("the technique of the dataset", told(scan())["technique"]["name"], "xrf")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--session", choices=["test_session", "esrf_session"], help="one session only: a process has but one")
    options = parser.parse_args()
    if options.session is None:
        again = [sys.executable, "-W", "ignore", __file__, "--out", options.out, "--session"]
        return max(subprocess.call([*again, session]) for session in ("test_session", "esrf_session"))
    comparison = Comparison()
    if options.session == "test_session":
        plain_session(comparison, os.path.abspath(options.out))
    else:
        esrf_session(comparison)
    print(f"generators, {options.session}: {comparison.agree} agree, {comparison.differ} differ", flush=True)
    return int(comparison.differ > 0)


if __name__ == "__main__":
    sys.exit(main())
