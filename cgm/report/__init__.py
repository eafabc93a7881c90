"""The report: a pure function of the files that the runs left. No number in it is typed by hand."""
