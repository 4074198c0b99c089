"""Templates in files, and what their scans become."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.support_description import channel
from tests.support_scan_writer import ROBX, Bench

from nexus_writer_service.errors import SettingsError
from nexus_writer_service.layout.esrf import EsrfOptions, plan
from nexus_writer_service.layout.template import templated
from nexus_writer_service.model.description import ChannelName
from nexus_writer_service.model.events import Points
from nexus_writer_service.service.templates import load_templates
from nexus_writer_service.testing.conformance.applications import check_application

EXAMPLES = Path(__file__).parents[2] / "examples" / "templates"


def written(folder, text, name="one.yml"):
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_the_files_of_a_folder_are_read_by_name(tmp_path):
    written(tmp_path, "template: second\nentry: {a: 1}", "b.yml")
    written(tmp_path, "template: first\nentry: {a: 1}", "a.yaml")
    written(tmp_path, "no template", "notes.txt")
    assert [one.name for one in load_templates([tmp_path])] == ["first", "second"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("template: T\nentry: {a: 1, a: 2}", "the name 'a' stands twice"),
        ("template: [", "is no YAML: while parsing"),
        ("template: T\nentry: {a: !!python/object/apply:os.getcwd []}", "is no YAML: could not"),
        ("template: T\nentry: {a: 2026-11-21}", r"is a date \(2026-11-21\): quote it"),
        ("", "the document is a mapping"),
        ("--- {}\n--- {}", "is no YAML: expected a single document"),
        ("a: &a [*a]", "has 'a', which is none of"),
    ],
)
def test_a_file_that_cannot_be_followed_is_refused_with_its_path(tmp_path, text, words):
    path = written(tmp_path, text)
    with pytest.raises(SettingsError, match=words) as error:
        load_templates([path])
    assert str(path) in str(error.value)


def test_a_file_that_is_not_there_and_an_empty_folder_are_refused(tmp_path):
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        load_templates([tmp_path / "none.yml"])
    with pytest.raises(SettingsError, match=r"no .yaml or .yml in it"):
        load_templates([tmp_path])


def test_two_templates_of_one_name_are_refused(tmp_path):
    paths = [written(tmp_path, "template: T\nentry: {a: 1}", name) for name in ("a.yml", "b.yml")]
    with pytest.raises(SettingsError, match=r"b\.yml: its name, T, is that of .*a\.yml"):
        load_templates(paths)


def scan_with(tmp_path, template, *detectors, **more):
    """A prepared scan whose plan has one of the examples."""
    templates = load_templates([EXAMPLES / template])

    def layout(scan):
        return templated(plan(scan, EsrfOptions()), scan, templates)

    return Bench(tmp_path, *detectors, layout=layout, **more)


def whole(bench, *names):
    bench.prepare()
    for name in (ROBX, *names):
        bench.send(ChannelName(name), 1, 2, 3, 4)
        bench.seal(ChannelName(name), 4)
    bench.end()
    bench.settle_until_over()
    assert bench.status.verdict.summary.startswith("complete")


XAS = ("mono:energy", "card:I0", "card:It")


def energy_scan(tmp_path, **more):
    channels = [channel(name, unit="keV") for name in XAS]
    return scan_with(tmp_path, "nxxas.yml", *channels, title="ascan energy 7 7.2 3 0.1", **more)


def test_a_scan_with_the_example_for_absorption_spectra_is_as_nxxas_wants_it(tmp_path):
    bench = energy_scan(tmp_path, count_time=0.1)
    whole(bench, *XAS)
    assert check_application(bench.path, "/7.1/xas") == []
    with h5py.File(bench.path) as file:
        assert file["7.1/xas/plot/energy"][()].tolist() == [1, 2, 3, 4]
        assert file["7.1/xas/monitor/preset"][()] == 0.1


def test_the_check_of_a_definition_finds_what_is_missing(tmp_path):
    bench = energy_scan(tmp_path)
    whole(bench, *XAS)
    with h5py.File(bench.path, "r+") as file:
        del file["7.1/xas/sample/name"], file["7.1/xas/instrument/source/probe"]
        file["7.1/xas/instrument/source/probe"] = "neutron"
    found = [finding.text for finding in check_application(bench.path, "/7.1/xas")]
    assert len(found) == 2
    assert any("sample/name" in one and "required" in one for one in found)
    assert any("probe" in one and "enumerated" in one for one in found), found


def test_a_template_shows_its_plot_while_the_scan_runs(tmp_path):
    bench = energy_scan(tmp_path)
    bench.prepare()
    for name in XAS[:2]:
        bench.send(ChannelName(name), 1, 2)
    bench.settle()
    assert tree_of(bench.path, "7.1/xas/plot") is None
    bench.send(ChannelName(XAS[2]), 1, 2)
    bench.settle()
    assert tree_of(bench.path, "7.1/xas/plot") == {"energy", "absorbed_beam", "mode"}
    bench.end("USER_ABORT")
    bench.settle_until_over()


def test_what_a_template_lacks_is_a_warning_of_the_scan_and_costs_no_data(tmp_path):
    bench = energy_scan(tmp_path)
    bench.scan.channels.pop(ChannelName("card:It"))
    whole(bench, *XAS[:2])
    assert "xas" not in (tree_of(bench.path, "7.1") or ())
    assert any("no channel is called 'It'" in one for one in bench.status.warnings)


def test_a_scan_with_the_example_for_rotation_images_is_as_nxmx_wants_it(tmp_path):
    image = channel("cam:image", "u2", (4, 6))
    bench = scan_with(tmp_path, "nxmx.yml", channel("axis:omega", unit="deg"), image)
    bench.prepare()
    for name in (ROBX, ChannelName("axis:omega")):
        bench.send(name, 1, 2, 3, 4)
        bench.seal(name, 4)
    pixels = np.arange(4 * 4 * 6, dtype="u2").reshape(4, 4, 6)
    bench.writer.feed(Points(bench.scan.key, image.name, 0, (pixels,)))
    bench.seal(image.name, 4)
    bench.end()
    bench.settle_until_over()
    assert check_application(bench.path, "/7.1/mx") == []
    with h5py.File(bench.path) as file:
        assert file["7.1/mx/data/data"].shape == (4, 4, 6)


def tree_of(path, group):
    """Names in a group of a file that is being written; None when it is not there."""
    with h5py.File(path, locking=False) as file:
        return set(file[group]) if group in file else None
