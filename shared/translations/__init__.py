"""Holds the message catalogues, one folder for each language."""
