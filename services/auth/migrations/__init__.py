"""The history of the database of auth."""

from pathlib import Path

FOLDER = Path(__file__).parent
