"""Ground floor: atomic writing, locks, hashes, the cache and state folders."""
