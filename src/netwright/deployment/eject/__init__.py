"""Leaving: a run as one plain PyTorch script. Text in, text out; nothing here runs what it writes."""
