"""logits + targets -> metrics; takes any `images -> outputs` callable."""
