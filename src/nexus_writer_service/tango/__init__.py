"""The face that BLISS supervises: the Tango device `NexusWriter` and its server."""
