"""WHAT a run is: the typed, validated, frozen recipe. Nothing here imports torch."""
