"""The history of auth's database."""

from pathlib import Path

FOLDER = Path(__file__).parent
