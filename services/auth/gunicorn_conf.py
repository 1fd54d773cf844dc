"""How gunicorn serves auth: threads, because its work is SQL and hashing that releases the interpreter."""

import os

from shared.serving import gunicorn_settings

# The number of workers is WEB_CONCURRENCY, which gunicorn reads itself.
globals().update(gunicorn_settings("services.auth"))

worker_class = "gthread"
threads = int(os.environ.get("THREADS") or "16")
