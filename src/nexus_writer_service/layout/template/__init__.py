"""Declarative templates: what a beamline wants in its entries beyond the default layout.

``parse`` makes a template of what a YAML file holds, ``templated`` adds templates to the plan of a
scan.
"""

from nexus_writer_service.layout.template.items import Template
from nexus_writer_service.layout.template.parse import parse
from nexus_writer_service.layout.template.plan import templated

__all__ = ["Template", "parse", "templated"]
