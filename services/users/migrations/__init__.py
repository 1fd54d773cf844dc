"""The history of users's database."""

from pathlib import Path

FOLDER = Path(__file__).parent
