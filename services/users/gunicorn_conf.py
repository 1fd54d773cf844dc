"""How gunicorn serves users: threads, because its work is SQL."""

import os

from shared.serving import gunicorn_settings

# The number of workers is WEB_CONCURRENCY, which gunicorn reads itself.
globals().update(gunicorn_settings("services.users"))

worker_class = "gthread"
threads = int(os.environ.get("THREADS") or "16")
