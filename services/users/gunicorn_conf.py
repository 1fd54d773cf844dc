"""How gunicorn serves users: threads, because its work is SQL."""

import os

from shared.serving import gunicorn_settings

_settings = gunicorn_settings("services.users")
globals().update(_settings)

worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "1"))
threads = int(os.environ.get("THREADS", "16"))
