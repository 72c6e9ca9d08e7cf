"""What is said of the looks at a test split."""

from collections.abc import Mapping
from typing import Any


def looks(found: Mapping[str, Any]) -> str:
    """How often this test split was looked at, and what that does to the number."""
    notices = [f"note: {notice}" for notice in found["notices"]]
    if found["number"] == 1:
        return "\n".join([*notices, "this was the first look at this test split; it is recorded"])
    line = f"this was look number {found['number']} at this test split, "
    if found["networks"] == 1:
        return "\n".join([*notices, f"{line}at the same network each time: its number is no better for that"])
    if found["optimism"] is None:
        return "\n".join(
            [*notices, f"{line}of {found['networks']} networks: the best of so many is too good by chance"]
        )
    flattered = (
        f"of {found['networks']} networks: the best of so many is too high by up to "
        f"{100 * found['optimism']:.1f} points by chance alone"
    )
    return "\n".join([*notices, line + flattered])
