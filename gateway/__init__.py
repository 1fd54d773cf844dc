"""The gateway: the one address that the apps know."""
