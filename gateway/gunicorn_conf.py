"""How gunicorn serves the gateway: gevent, because a phone on a bad line must cost a greenlet and not a worker."""

import os

from gateway.listening import Listening
from shared.serving import gunicorn_settings, settings_or_exit

# A name that is gone takes 2 s to find out instead of 10 (measured in Docker), so that a service that comes back is
# found soon; what the environment says goes before (resolv.conf(5)).
os.environ.setdefault("RES_OPTIONS", "timeout:1 attempts:2")

# The number of workers is WEB_CONCURRENCY, which gunicorn reads itself.
globals().update(gunicorn_settings("gateway"))

listening = settings_or_exit(Listening.read)
worker_class = "gateway.worker.GatewayWorker"
worker_connections = listening.connections
limit_request_line = listening.line_bytes
limit_request_fields = listening.headers
limit_request_field_size = listening.header_bytes
