"""The wiring, one file per verb; the only room that knows them all."""
