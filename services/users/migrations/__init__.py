"""The history of the database of users."""

from pathlib import Path

FOLDER = Path(__file__).parent
