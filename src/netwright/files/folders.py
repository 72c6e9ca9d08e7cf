"""Where things are kept that outlive a run: the cache (may be deleted) and the state (may not)."""

from pathlib import Path

import platformdirs


def cache_folder() -> Path:
    """Return the user's cache folder for netwright (downloads, decoded images), made if absent."""
    return Path(platformdirs.user_cache_dir("netwright", appauthor=False, ensure_exists=True))


def state_folder() -> Path:
    """Return the user's state folder for netwright (the ledger of test-set looks), made if absent."""
    return Path(platformdirs.user_state_dir("netwright", appauthor=False, ensure_exists=True))
