"""Which database of Redis is that of BLISS 1."""

from urllib.parse import parse_qs, urlsplit, urlunsplit

DATABASE = 1
"""BLISS 1 keeps its scans in database 1, its settings in 0."""


def database_url(url: str) -> str:
    """The URL of the database of scans, for the URL of a server; one that names a database stays.

    Beacon names the server only.
    """
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    if "db" in query or (parts.scheme != "unix" and parts.path.strip("/")):
        return url
    if parts.scheme == "unix":
        return f"{url}{'&' if parts.query else '?'}db={DATABASE}"
    return urlunsplit(parts._replace(path=f"/{DATABASE}"))
