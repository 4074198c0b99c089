"""A Tango database to register writers in, and what it holds."""

from collections.abc import Mapping

import tango


def emptied_database(host: str) -> tango.Database:
    """The database at ``host:port``, after the devices of all servers but its own were removed."""
    name, _, port = host.rpartition(":")
    database = tango.Database(name, int(port))
    for device in database.get_device_name("*", "*"):
        if not device.startswith(("sys/", "dserver/")):
            properties = list(database.get_device_property_list(device, "*"))
            database.delete_device_property(device, properties)
            database.delete_device(device)
    return database


def add_device(
    database: tango.Database,
    name: str,
    *,
    server: str = "nexuswriter/nexuswriters",
    device_class: str = "NexusWriter",
    properties: Mapping[str, str] | None = None,
) -> None:
    """Add a device as any Tango client does, Jive for one."""
    info = tango.DbDevInfo()
    info.name, info.server, info._class = name, server, device_class
    database.add_device(info)
    if properties:
        database.put_device_property(name, {key: [value] for key, value in properties.items()})


def properties_of(database: tango.Database, name: str) -> dict[str, list[str]]:
    """All properties of a device."""
    names = list(database.get_device_property_list(name, "*"))
    return {key: list(values) for key, values in database.get_device_property(name, names).items()}


def server_of(database: tango.Database, name: str) -> str:
    """The server that a device is registered in."""
    server: str = database.get_device_info(name).ds_full_name
    return server
