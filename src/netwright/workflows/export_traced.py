"""A bundle's network traced for an export: for images of one size, or of masks for any size where that can be."""

from dataclasses import dataclass

from torch.export import ExportedProgram

from netwright.deployment.formats import trace
from netwright.deployment.whole import WholeNetwork, example_images, size_multiple
from netwright.errors import InputError


@dataclass(frozen=True)
class Traced:
    """`multiple`: the program takes images whose height and width are multiples of it; null: those of one size."""

    program: ExportedProgram
    multiple: int | None = None

    def said(self) -> dict[str, int]:
        """Return what `netwright export --json` says of sizes, where any can be given."""
        return {} if self.multiple is None else {"size_multiple": self.multiple}


def traced(whole: WholeNetwork) -> Traced:
    """Trace a network. Raises InputError where torch.export can't even for images of one size."""
    multiple = size_multiple(whole)
    if multiple is not None:
        # unequal, and more than one multiple: torch takes equal or smallest sizes for constants
        examples = example_images(whole.bundle, 2, size=(3 * multiple, 4 * multiple))
        try:
            return Traced(trace(whole, examples, multiple), multiple)
        except InputError:  # it computes with its images' size: only the one that it was trained on is safe
            pass
    return Traced(trace(whole, example_images(whole.bundle, 2)))
