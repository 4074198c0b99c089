"""The classic ESRF layout: what BLISS users expect to find in their files.

``plan`` turns the description of a scan into the trees to write at each moment of its life.
"""

from nexus_writer_service.layout.esrf.datasets import EsrfOptions
from nexus_writer_service.layout.esrf.plan import EsrfPlan, plan

__all__ = ["EsrfOptions", "EsrfPlan", "plan"]
