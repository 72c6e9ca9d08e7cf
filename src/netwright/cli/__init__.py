"""Text in, one workflow call, text out: one small file a verb, heavy imports inside the command."""
