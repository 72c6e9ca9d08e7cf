"""Serving over loopback: beside a plain FastAPI handler and LitServe, and ten times overloaded."""
