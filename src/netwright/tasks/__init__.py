"""What a task is: criterion, counts for the epoch's record, how the network's outputs become an answer."""
