"""What a developer runs on a laptop: the installer, the launcher and the stack that the tests use."""
