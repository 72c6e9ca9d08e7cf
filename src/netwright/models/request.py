"""What a builder is told besides the model's own arguments."""

from dataclasses import dataclass

from netwright.config.models import Output


@dataclass(frozen=True)
class Request:
    """Images (B, in_channels, *image_size) come in, (B, num_outputs) go out; sizes are (height, width) in pixels.

    Rows of tables are (B, in_channels), the last of which are codes of `categories`, so many codes each."""

    in_channels: int
    image_size: tuple[int, int]
    num_outputs: int
    output: Output
    categories: tuple[int, ...] = ()

    @property
    def size_text(self) -> str:
        """Height and width as a message shows them: `28 × 32 pixels`."""
        return f"{self.image_size[0]} × {self.image_size[1]} pixels"
