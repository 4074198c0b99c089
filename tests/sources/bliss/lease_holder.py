"""A process that takes a lease, says so, and keeps it: its arguments are those of the lease."""

import sys
import threading

from nexus_writer_service.errors import SessionTakenError
from nexus_writer_service.sources.bliss.lease import SessionLease

url, session, owner, life = sys.argv[1:]
lease = SessionLease(
    url,
    session,
    owner,
    on_lost=lambda holder: print(f"lost to {holder}", flush=True),
    life=float(life),
)
try:
    lease.acquire()
except SessionTakenError as error:
    print(f"taken by {error.owner}", flush=True)
    sys.exit(1)
print("held", flush=True)
threading.Event().wait()
