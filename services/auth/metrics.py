"""Auth's own figures; what all rooms count stands in `shared.metrics`."""

from shared.metrics import counter, gauge, histogram

outcomes = counter(
    "latchkey_auth_outcomes",
    "How signing up, signing in and refreshing came out: done, repeated, or an error code",
    "action",
    "outcome",
)
events = counter("latchkey_auth_events", "Entries of the audit trail", "event", "reason")
brakes_without_redis = gauge(
    "latchkey_brakes_without_redis", "1 while a worker counts attempts elsewhere than in Redis", over_workers="max"
)

hashing_places = gauge(
    "latchkey_hashing_places", "Sign-ins and sign-ups that may be under way at once", over_workers="sum"
)
hashing_under_way = gauge(
    "latchkey_hashing_under_way", "Sign-ins and sign-ups that are under way now", over_workers="sum"
)
hashing_refused = counter("latchkey_hashing_refused", "Sign-ins and sign-ups refused because their places were taken")
hashing_seconds = histogram(
    "latchkey_hashing_duration_seconds", "From asking for a hash to having it, the wait for a slot included"
)

worker_rounds = counter("latchkey_worker_rounds", "Rounds of the worker's tasks: done, waits, failed", "task", "result")
sessions_open = gauge(
    "latchkey_sessions_open", "Sessions that have not ended, counted at every clean-up", over_workers="max"
)
outbox_waiting = gauge("latchkey_outbox_waiting", "Entries that users is not told yet", over_workers="max")
outbox_lag = gauge("latchkey_outbox_lag_seconds", "Age of the oldest of these, 0 for none", over_workers="max")
signing_key_age = gauge(
    "latchkey_signing_key_age_seconds", "For how long the present key has been signing", over_workers="max"
)
