"""How gunicorn serves the gateway: gevent, because a phone on a bad line must cost a greenlet and not a worker."""

import os

from shared.serving import gunicorn_settings

# A name that is gone takes 2 s to find out instead of 10 (measured in Docker), so that a service that comes back is
# found soon; what the environment says goes before (resolv.conf(5)).
os.environ.setdefault("RES_OPTIONS", "timeout:1 attempts:2")

# The number of workers is WEB_CONCURRENCY, which gunicorn reads itself.
globals().update(gunicorn_settings("gateway"))

worker_class = "gevent"
worker_connections = int(os.environ.get("WORKER_CONNECTIONS") or "1000")
limit_request_line = 4094
limit_request_fields = 64
limit_request_field_size = 8190
