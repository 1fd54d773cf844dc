"""The users service: what people say about themselves."""
