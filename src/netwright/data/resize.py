"""How large pictures are kept and how they get there: resized until they cover the store's size, then cut centrally.

Under random resized crop they stay whole: made smaller only, until they just cover the store's size, and not cut."""

from PIL import Image

from netwright.errors import DataError, RecipeError

MARGIN, WHOLE_MARGIN = 1.15, 1.75
MAX_ASPECT = 50  # a 1 × 20000 picture resized to cover 224 × 224 would have a billion pixels, all alike


def store_size(image_size: tuple[int, int], resize: int | None) -> tuple[int, int]:
    """Return the (height, width) kept for an input of `image_size`, with a margin around it.

    `resize` is the short side in pixels; null: 1.15 × the input.
    Raises RecipeError when `resize` is smaller than the input."""
    height, width = image_size
    if resize is None:
        return round(height * MARGIN), round(width * MARGIN)
    short = min(image_size)
    if resize < short:
        raise RecipeError(
            f"`transform.resize` is {resize} and `data.image_size` is {height} × {width}: the input can't be cut from "
            f"something smaller; give {short} or more"
        )
    return round(height * resize / short), round(width * resize / short)


def whole_store_size(image_size: tuple[int, int], resize: int) -> tuple[int, int]:
    """Return the (height, width) that whole pictures just cover if they are larger: 1.75 × an input of `image_size`.

    More when evaluation's short side before the cut, `resize`, is more."""
    scale = max(WHOLE_MARGIN, resize / min(image_size))
    return round(image_size[0] * scale), round(image_size[1] * scale)


def whole_size(size: tuple[int, int], cover: tuple[int, int]) -> tuple[int, int]:
    """Return the (height, width) that a picture of `size` is kept whole in: just covering `cover`, never enlarged."""
    covering = covering_size(size, cover)
    return covering if covering[0] < size[0] or covering[1] < size[1] else size


def central_box(size: tuple[int, int], image_size: tuple[int, int], resize: int) -> tuple[int, int, int, int]:
    """Return the box (top, left, height, width) of a whole picture that evaluation sees.

    It is what resizing the picture until it covers `image_size` × `resize` / short side, then cutting `image_size` from
    the centre would keep, rounded to whole pixels of the picture."""
    margin = resize / min(image_size)
    scale = min(size[0] / image_size[0], size[1] / image_size[1]) / margin
    height, width = (max(1, round(side * scale)) for side in image_size)
    top, left = centre_offset(size, (height, width))
    return top, left, height, width


def covering_size(size: tuple[int, int], cover: tuple[int, int]) -> tuple[int, int]:
    """Return the size of equal aspect that just covers `cover`, both (height, width), rounded as torchvision does."""
    (height, width), (down, across) = size, cover
    if height * across <= width * down:  # relatively wide: the height decides
        return down, max(across, int(down * width / height))
    return max(down, int(across * height / width)), across


def check_aspect(size: tuple[int, int], name: str) -> None:
    """Raise DataError for a picture so thin that resizing would blow it up."""
    height, width = size
    if max(size) > MAX_ASPECT * min(size):
        raise DataError(f"{name}: too thin ({width} × {height} pixels) to be resized; crop it")


def shrink(image: Image.Image, size: tuple[int, int], whole: tuple[int, int] | None = None) -> Image.Image:
    """Resize (bilinear, antialiased) to (height, width) `size`, where the picture has another one.

    `whole` is its size before it was reduced by a decoder."""
    if (image.height, image.width) == size:
        return image
    box = None if whole is None else (0.0, 0.0, *_reduced((whole[1], whole[0]), image, whole))
    return image.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=box)


def fit(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Resize (bilinear, antialiased) until the picture covers `size`, then cut `size` from its centre.

    Exactly as torchvision's Resize and CenterCrop."""
    height, width = covering_size((image.height, image.width), size)
    if (height, width) != (image.height, image.width):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    top, left = centre_offset((height, width), size)
    return image if (height, width) == size else image.crop((left, top, left + size[1], top + size[0]))


def fit_reduced(image: Image.Image, size: tuple[int, int], whole: tuple[int, int]) -> Image.Image:
    """Do `fit` to a picture of (height, width) `whole` that a decoder has reduced to a half, a quarter or an eighth.

    Quicker: only what is kept is resized, a quarter less of a 4 : 3 picture, and of one that is still more than four
    times as large means of pixels. The cut is in its place in the whole picture, whose sides may be no multiples."""
    height, width = covering_size(whole, size)
    top, left = centre_offset((height, width), size)
    down, across = whole[0] / height, whole[1] / width  # the filter sees what lies beyond the box, too
    corners = [(left * across, top * down), ((left + size[1]) * across, (top + size[0]) * down)]
    (x, y), (right, bottom) = (_reduced(corner, image, whole) for corner in corners)
    box = (x, y, min(right, image.width), min(bottom, image.height))
    return image.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)


def _reduced(place: tuple[float, float], image: Image.Image, whole: tuple[int, int]) -> tuple[float, float]:
    """Return where a place (across, down) of the whole picture lies in the reduced one, whose sides were rounded up."""
    scale = round(max(whole) / max(image.size))
    return place[0] / scale, place[1] / scale


def fit_nearest(mask: Image.Image, size: tuple[int, int]) -> Image.Image:
    """Do `fit` to a mask: by nearest neighbour, so that values stay what they are."""
    height, width = covering_size((mask.height, mask.width), size)
    if (mask.height, mask.width) != (height, width):
        mask = mask.resize((width, height), Image.Resampling.NEAREST)
    top, left = centre_offset((height, width), size)
    return mask.crop((left, top, left + size[1], top + size[0]))


def centre_offset(outer: tuple[int, int], inner: tuple[int, int]) -> tuple[int, int]:
    """Return (top, left) of a centre crop, rounded as torchvision's CenterCrop rounds."""
    return int(round((outer[0] - inner[0]) / 2.0)), int(round((outer[1] - inner[1]) / 2.0))
