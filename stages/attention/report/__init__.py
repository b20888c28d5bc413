"""The report of a training: one page that opens anywhere."""
