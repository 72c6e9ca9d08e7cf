"""WHAT is kept: the run folder's layout, its history, its environment, the ledger of test-set looks. No torch here."""
