"""Folders of the package and its repository: the one place that counts levels.

A wheel carries ``mm_configs`` and what ships of ``results`` inside the package; in a checkout they
lie beside it. What is written goes below the checkout, or below the working folder.
"""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
REPOSITORY = PACKAGE.parent
"""The folder that holds the package: the checkout, or ``site-packages``."""
INSTALLED = (PACKAGE / 'mm_configs').is_dir()
SHIPPED = PACKAGE if INSTALLED else REPOSITORY
CONFIGS = SHIPPED / 'mm_configs'
REPORTED = SHIPPED / 'results' / 'reported'
WORK = Path.cwd() if INSTALLED else REPOSITORY
RESULTS = WORK / 'results'
