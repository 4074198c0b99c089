"""The conformance gate: is a file what NeXus wants, and does everything in it lead somewhere?

It stands on the validator of ``nexusformat`` and the NeXus definitions that come with it, and adds
what no packaged tool checks: links and virtual datasets resolve, the default plot can be reached,
text is text, times have a zone, units are units.
"""

from nexus_writer_service.testing.conformance.allowed import ALLOWED, Extension
from nexus_writer_service.testing.conformance.finding import Finding
from nexus_writer_service.testing.conformance.gate import check_file

__all__ = ["ALLOWED", "Extension", "Finding", "check_file"]
