"""How gunicorn serves auth: threads, because its work is SQL and hashing that releases the interpreter."""

from services.auth.settings import Settings
from shared.serving import gunicorn_settings, settings_or_exit

# The number of workers is WEB_CONCURRENCY, which gunicorn reads itself.
globals().update(gunicorn_settings("services.auth"))

worker_class = "gthread"
threads = settings_or_exit(Settings.read).threads
