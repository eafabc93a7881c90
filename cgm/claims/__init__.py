"""Claims put to the test: the file that states them (``ledger``), how evidence becomes a verdict (``verdict``, ``effect``).

It knows no results. Where the evidence lies, in which run's file and on which page, is the report's knowledge
(:mod:`cgm.report.verdicts`), which asks this room and hands it numbers and words. So verdicts can be tested on simulated numbers, and a
claim is answered from the same typed results as every table.
"""
