"""Whether there is room, and permission to write."""

from typing import Any

from nexus_writer_service.service.disk_space import MEGABYTE, free_bytes, writable


def has_required_disk_space(
    path: str, required_disk_space: float, query_pool: Any | None = None
) -> bool:
    """Whether so much is free where ``path`` is or would be; True when that cannot be told.

    Args:
        path: need not exist.
        required_disk_space: MB; 0 or less: always enough.
        query_pool: ``querypool.pools.QueryPool`` in which to ask, with its limit of time.
    """
    if required_disk_space <= 0:
        return True
    free: int | None
    try:
        if query_pool is None:
            free = free_bytes(path)
        else:
            free = query_pool.execute(free_bytes, args=(path,), default=None)
    except OSError:
        return True
    return free is None or free >= required_disk_space * MEGABYTE


def has_write_permissions(path: str) -> bool:
    """Whether this user may write the file ``path``, or make it and its directories."""
    return writable(path)
