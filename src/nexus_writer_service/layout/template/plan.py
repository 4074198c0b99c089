"""The plan of a scan with what templates add to its entries."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from nexus_writer_service.layout.plan import Place, ScanPlan
from nexus_writer_service.layout.plan import Trees as FileTrees
from nexus_writer_service.layout.template.items import (
    ChannelData,
    Link,
    Metadata,
    Template,
    When,
)
from nexus_writer_service.layout.template.said import said
from nexus_writer_service.layout.template.trees import Trees, all_of, fitting, has
from nexus_writer_service.model.description import ChannelName, ScanDescription
from nexus_writer_service.model.events import ScanReference
from nexus_writer_service.model.tree import Dataset, Group, at, merged
from nexus_writer_service.model.verdict import Verdict

_SOME_TIME = datetime.fromtimestamp(0, UTC)
"""For trees that are only looked at."""


def templated(inner: ScanPlan, scan: ScanDescription, templates: Iterable[Template]) -> ScanPlan:
    """The plan with what those of the templates add that are for this scan.

    A template is added whole or not at all: to each entry that has all channels that it needs.
    It never changes what the default layout writes.
    """
    meant = [one for one in templates if one.is_for(scan)]
    return TemplatedPlan(inner, scan, meant) if meant else inner


class TemplatedPlan:
    """A ``ScanPlan`` that adds to the trees of another one.

    Args:
        inner: the default layout of the scan.
        scan: the description of the prepared scan.
        templates: those that are meant for it.
    """

    def __init__(
        self, inner: ScanPlan, scan: ScanDescription, templates: Sequence[Template]
    ) -> None:
        self._inner = inner
        self._scan = scan
        self._own = _own(inner, scan)
        warnings: list[str] = []
        self._added = [one for each in templates for one in self._of(each, warnings)]
        self._warnings = (*inner.warnings, *dict.fromkeys(warnings))

    @property
    def file(self) -> str:
        """Absolute path of the file that holds the entries."""
        return self._inner.file

    @property
    def entries(self) -> tuple[str, ...]:
        """Names of the scan's entries."""
        return self._inner.entries

    @property
    def places(self) -> Mapping[ChannelName, Place]:
        """Where each channel goes."""
        return self._inner.places

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know: also of templates that could not be followed."""
        return self._warnings

    def links(self, now: datetime) -> FileTrees:
        """Links to the entries in other files."""
        return self._inner.links(now)

    def root(
        self, now: datetime, versions: Mapping[str, str], file: str | None = None
    ) -> Mapping[str, str]:
        """Attributes of the root of a new file."""
        return self._inner.root(now, versions, file)

    def start(self, now: datetime) -> FileTrees:
        """The entries, with what templates know from the start."""
        return self._with(self._inner.start(now), (one.start(self._scan) for one in self._added))

    def first_point(self, channel: ChannelName) -> FileTrees:
        """What appears with the first point of a channel."""
        return self._inner.first_point(channel)

    def plots(self, lengths: Mapping[ChannelName, int], *, final: bool) -> FileTrees:
        """The plots, and the links of templates to the channels that have begun."""
        begun = set(lengths)
        added = (one.data(self._scan, begun) for one in self._added)
        return self._with(self._inner.plots(lengths, final=final), added)

    def references(self, channel: ChannelName, scans: tuple[ScanReference, ...]) -> FileTrees:
        """What is written for the scans of a sequence."""
        return self._inner.references(channel, scans)

    def finish(self, scan: ScanDescription, now: datetime) -> FileTrees:
        """What is written at the end, also by templates."""
        return self._with(self._inner.finish(scan, now), (one.finish(scan) for one in self._added))

    def verdict(self, verdict: Verdict) -> FileTrees:
        """The verdict, for the record in the entry."""
        return self._inner.verdict(verdict)

    # ------------------------------------------------------------------------------ inside

    def _with(self, trees: FileTrees, added: Iterable[Group]) -> FileTrees:
        found = fitting(merged(*added), self._own, "", [])
        if not found.children:
            return trees
        mine = trees.get(self.file, Group())
        return {**trees, self.file: merged(found, mine)}

    def _of(self, template: Template, warnings: list[str]) -> Iterator[Trees]:
        """What a template adds to each of the entries that have what it needs."""
        lacking: list[str] = []
        found = []
        for entry in self.entries:
            channels, missing = self._channels(template, entry)
            if missing:
                lacking += [one for one in missing if one not in lacking]
            else:
                found.append(self._trees(template, entry, channels, warnings))
        if not found:
            warnings.append(
                f"scan {self._scan.name}: the template {template.name} is not applied: "
                f"{'; '.join(lacking)}"
            )
        for one in found:
            self._say(template, one, warnings)
        yield from found

    def _channels(
        self, template: Template, entry: str
    ) -> tuple[dict[ChannelData, ChannelName], list[str]]:
        """The channel of an entry that each item means, and what is wrong with items."""
        found: dict[ChannelData, ChannelName] = {}
        missing = []
        for item in template.channels:
            names = [
                name
                for name, place in self.places.items()
                if place.path.startswith(f"/{entry}/") and self._meant(item, name)
            ]
            if len(names) == 1 or (names and item.device and self._one_device(names)):
                found[item] = names[0]
            elif names:
                some = ", ".join(sorted(names)[:3])
                missing.append(f"{item.pattern!r} means several channels ({some}...)")
            elif not item.optional:
                missing.append(f"no channel is called {item.pattern!r}")
        return found, missing

    def _meant(self, item: ChannelData, name: ChannelName) -> bool:
        channel = self._scan.channels.get(name)
        return channel is not None and item.matches(channel)

    def _one_device(self, names: Sequence[ChannelName]) -> bool:
        return len({self.places[name].path.rpartition("/")[0] for name in names}) == 1

    def _trees(
        self,
        template: Template,
        entry: str,
        channels: Mapping[ChannelData, ChannelName],
        warnings: list[str],
    ) -> Trees:
        places = {name: place.path for name, place in self.places.items()}
        links: dict[Link, When | ChannelName] = {}
        for item in template.entry.all():
            if isinstance(item, Link):
                when = self._own_of(entry).when(item.target)
                if when is None:
                    warnings.append(
                        f"{self._about(template)}: nothing will be at {item.target!r} of the "
                        "entry, so there is no link to it"
                    )
                else:
                    links[item] = when
        return Trees(entry, template.entry, channels, places, links)

    def _own_of(self, entry: str) -> "_Moments":
        return _Moments(self._inner, self._scan, entry)

    def _say(self, template: Template, trees: Trees, warnings: list[str]) -> None:
        """Tell what of a template will not be in the file as it stands there."""
        refused: list[str] = []
        all_of_it = merged(
            trees.start(self._scan),
            trees.data(self._scan, set(self.places)),
            trees.finish(self._scan),
        )
        fitting(all_of_it, self._own, "", refused)
        warnings += [
            f"{self._about(template)}: {path} is left as the default layout has it"
            for path in refused
        ]
        warnings += [
            f"{self._about(template)}: the scan does not say {item.path!r}"
            for item in template.entry.all()
            if isinstance(item, Metadata) and self._is_lacking(item)
        ]

    def _is_lacking(self, item: Metadata) -> bool:
        if item.optional or item.default is not None or item.when is When.END:
            return False
        late = item.path in {"end_time", "end_reason"} or item.path.startswith("positioners_end")
        return not late and said(self._scan, item.path) is None

    def _about(self, template: Template) -> str:
        return f"scan {self._scan.name}, template {template.name}"


@dataclass(frozen=True, slots=True)
class _Moments:
    """When the default layout writes what of an entry."""

    plan: ScanPlan
    scan: ScanDescription
    entry: str

    def when(self, path: str) -> When | ChannelName | None:
        """When something will be at a path of the entry; None: never."""
        if has(self._entry(self.plan.start(_SOME_TIME)), path):
            return When.START
        for name in self.plan.places:
            if has(self._entry(self.plan.first_point(name)), path):
                return name
        at_end = has(self._entry(self.plan.finish(self.scan, _SOME_TIME)), path)
        return When.END if at_end else None

    def _entry(self, trees: FileTrees) -> Group:
        return all_of(trees.get(self.plan.file, Group()), entry=self.entry)


def _own(plan: ScanPlan, scan: ScanDescription) -> Group:
    """What the default layout writes at any moment, by its names."""
    trees = [plan.start(_SOME_TIME), plan.finish(scan, _SOME_TIME)]
    trees += [plan.first_point(name) for name in plan.places]
    trees.append(plan.plots(dict.fromkeys(plan.places, 1), final=True))
    found = [tree for each in trees for path, tree in each.items() if path == plan.file]
    # Datasets are where their channels are, whatever else the layout makes of them.
    found += [at(place.path, Dataset("")) for place in plan.places.values()]
    return merged(*found)
