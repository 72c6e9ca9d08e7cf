"""HTTP in, one workflow call, JSON or HTML out."""
