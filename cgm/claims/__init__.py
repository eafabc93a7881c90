"""Claims put to the test: the file that states them, and the verdicts. How results answer them is the report's (``cgm/report/verdicts.py``)."""
