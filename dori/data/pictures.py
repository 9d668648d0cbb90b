"""A picture as a viewer shows it: the one way in which targets, ordinary pictures and masks are read."""

import warnings
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageCms, ImageOps

from dori.core.errors import InputError
from dori.core.readable import check_file

# of a PNG, Pillow gives pixels in 8 bits, but the colour that is transparent in the file's own depth
DEPTHS = {"L;2": 255 / 3, "L;4": 255 / 15, "RGB;16B": 255 / 65535}
# the modes of pictures that a colour profile of each kind can speak of, and the one that it takes
PROFILED = {
    "GRAY": ("L", ("1", "L", "LA")), "CMYK": ("CMYK", ("CMYK",)),
    "RGB": ("RGB", ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX")),
}  # fmt: skip


def read_picture(path: Path) -> np.ndarray:
    """uint8 (H, W, 3): what is to be seen.

    Turned as its EXIF says; transparent parts on white; 16 bits scaled to 8; colours brought to sRGB
    where a profile is embedded; of several frames or pages, the first.

    Raises:
        InputError: no picture, a broken or too large one, or numbers that are no brightness.
    """
    return _read(path, lambda image: _on_white(image).convert("RGB"))


def read_mask(path: Path, size: tuple[int, ...]) -> np.ndarray:
    """Boolean (H, W) of a mask image: where it is white, for a picture of ``size`` (H, W) as it is shown.

    Raises:
        InputError: as ``read_picture``; transparent parts, which are neither white nor black; another
            size; no part that stays.
    """

    def opaque(image: Image.Image) -> Image.Image:
        if _alpha(image).getextrema()[0] != 255:
            raise InputError(f"{path} has transparent parts: save it black and white")
        return _on_white(image).convert("L")

    mask = _read(path, opaque) > 127
    if mask.shape != size:
        (h, w), (height, width) = mask.shape, size
        raise InputError(f"{path} has {w} x {h} pixels, but its picture {width} x {height}: make them equal")
    if mask.all():
        raise InputError(f"{path} is white everywhere, so no part of the picture stays: black is what stays")
    return mask


def digest(picture: Path | np.ndarray) -> str:
    """Hash of what is to be seen, wherever it lies: a file is decoded once as long as it stays as it is."""
    if isinstance(picture, Path):
        check_file(picture)
        stat = picture.stat()
        return _file_digest(picture, stat.st_mtime_ns, stat.st_size)
    return sha256(repr(picture.shape).encode() + np.ascontiguousarray(picture).tobytes()).hexdigest()


@cache
def _file_digest(path: Path, changed: int, size: int) -> str:
    return digest(read_picture(path))


def _read(path: Path, shown: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    check_file(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                _rescale_transparency(image)
                return np.asarray(shown(_eight_bits(ImageOps.exif_transpose(image), path)))
    except InputError:
        raise
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        limit = f"{Image.MAX_IMAGE_PIXELS or 0:,}"
        raise InputError(f"{path} has more than {limit} pixels: make it smaller") from error
    except Exception as error:  # Pillow raises many kinds for broken files
        raise InputError(
            f"{path} is broken or no image that can be read: save it as PNG ({error})"
        ) from error


def _rescale_transparency(image: Image.Image) -> None:
    found = image.info.get("transparency")
    tile = getattr(image, "tile", [])
    if image.format == "PNG" and tile and (scale := DEPTHS.get(str(tile[0].args))):
        if isinstance(found, tuple):
            image.info["transparency"] = tuple(int(value * scale) for value in found)
        elif found is not None:
            image.info["transparency"] = int(found * scale)


def _eight_bits(image: Image.Image, path: Path) -> Image.Image:
    """A picture of 16 bits or of real numbers, scaled; others as they are."""
    if image.mode != "F" and not image.mode.startswith("I"):
        return image
    values = np.asarray(image).astype(np.float64)
    top = 1.0 if image.mode == "F" else 65535.0
    if not (values.min() >= 0 and values.max() <= top):
        raise InputError(
            f"{path} has values from {values.min():g} to {values.max():g}, of which it is unknown"
            f" which is white (as a rule {top:g}): save it with 8 bits"
        )
    scaled = Image.fromarray((values * (255 / top)).round().astype(np.uint8))
    if (key := image.info.get("transparency")) is not None:
        scaled.putalpha(Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8)))
    scaled.info["icc_profile"] = image.info.get("icc_profile")
    return scaled


def _alpha(image: Image.Image) -> Image.Image:
    """Mode L: 255 where a picture is opaque."""
    if image.has_transparency_data:
        return image.convert("RGBA").getchannel("A")
    return Image.new("L", image.size, 255)


def _on_white(image: Image.Image) -> Image.Image:
    return Image.composite(_colours(image), Image.new("RGB", image.size, "white"), _alpha(image))


def _colours(image: Image.Image) -> Image.Image:
    """Mode RGB: the colours alone, as sRGB. A profile that does not fit is left out, as viewers do."""
    plain = image.convert("RGBA").convert("RGB") if image.has_transparency_data else image.convert("RGB")
    try:
        profile = ImageCms.ImageCmsProfile(BytesIO(image.info.get("icc_profile") or b""))
        mode, of = PROFILED.get(profile.profile.xcolor_space.strip(), ("", ()))
        if image.mode not in of:
            return plain
        source = plain if mode == "RGB" else image.convert(mode)
        srgb = ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(source, profile, srgb, outputMode="RGB") or plain
    except (ImageCms.PyCMSError, OSError):
        return plain
