"""What several tests need: actors, a client that checks every answer, and services that misbehave."""
