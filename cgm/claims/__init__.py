"""Claims put to the test: the file that states them (``ledger``), how evidence becomes a verdict (``verdict``, ``effect``).

It knows no results. The report knows in which run's file the evidence lies (:mod:`cgm.report.verdicts`), looks it up and calls this package
with numbers and words. So verdicts can be tested on simulated numbers, and a claim is answered from the same typed results as every table.
"""
