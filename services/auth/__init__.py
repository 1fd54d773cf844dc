"""The auth service: who may come in, and the tokens that prove it."""
