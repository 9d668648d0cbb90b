"""Pictures: what is read is what a viewer shows, made here by other means than the ones under test."""

import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from dori.core.errors import InputError
from dori.data.pictures import digest, read_mask, read_picture
from tests import tiny

SHOWN = tiny.picture(0)
RAMP = np.linspace(0, 65535, 32 * 32).reshape(32, 32)


def apart(found: np.ndarray, expected: np.ndarray) -> int:
    assert found.dtype == np.uint8
    assert found.shape == (*expected.shape[:2], 3)
    expected = expected if expected.ndim == 3 else expected[..., None].repeat(3, 2)
    return int(np.abs(found.astype(int) - expected).max())


def on_white(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[..., 3:] / 255
    return rgba[..., :3] * alpha + 255 * (1 - alpha)


def png(depth: int, kind: int, row: bytes, width: int, transparent: bytes = b"") -> bytes:
    """A PNG of one line, by the standard: Pillow writes no such ones."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, 1, depth, kind, 0, 0, 0))
    extra = chunk(b"tRNS", transparent) if transparent else b""
    return (
        b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(b"\0" + row)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("ending", ["png", "webp", "tif"])
def test_transparent_parts_are_white(tmp_path: Path, ending: str) -> None:
    alpha = (np.arange(32 * 32).reshape(32, 32, 1) % 256).astype(np.uint8)
    rgba = np.concatenate([SHOWN, alpha], 2)
    Image.fromarray(rgba).save(tmp_path / f"a.{ending}", lossless=True)
    hidden = on_white(np.where(alpha == 0, 0, rgba))  # WebP keeps no colour that nobody sees
    assert apart(read_picture(tmp_path / f"a.{ending}"), hidden) <= 1
    grey = Image.fromarray(rgba).convert("LA")
    grey.save(tmp_path / "grey.png")
    assert apart(read_picture(tmp_path / "grey.png"), on_white(np.asarray(grey)[..., [0, 0, 0, 1]])) <= 1


@pytest.mark.parametrize("transparency", [0, bytes([0, 255]), bytes([64, 255])])
def test_a_palette_may_have_transparent_colours(tmp_path: Path, transparency: int | bytes) -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([0, 0, 255, 200, 30, 30])
    image.paste(1, (2, 2, 6, 6))
    image.save(tmp_path / "a.png", transparency=transparency)
    expected = np.full((8, 8, 3), 255.0)
    if transparency == bytes([64, 255]):
        expected[:] = 0.25 * np.array([0, 0, 255]) + 0.75 * 255
    expected[2:6, 2:6] = (200, 30, 30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert apart(read_picture(tmp_path / "a.png"), expected) <= 1


@pytest.mark.parametrize(("content", "expected"), [
    (png(2, 0, bytes([0b00_01_10_11]), 4, struct.pack(">H", 0)), [255, 85, 170, 255]),
    (png(4, 0, bytes([0x0F, 0x7F]), 4, struct.pack(">H", 7)), [0, 255, 255, 255]),
    (png(8, 0, bytes([0, 7, 255]), 3, struct.pack(">H", 7)), [0, 255, 255]),
    (png(16, 0, struct.pack(">3H", 0, 7 * 257, 100 * 257), 3, struct.pack(">H", 0)), [255, 7, 100]),
    (png(16, 4, struct.pack(">4H", 0, 65535, 0, 0), 2), [0, 255]),
    (png(16, 2, struct.pack(">6H", *[257 * 9] * 3, *[257 * 200] * 3), 2), [9, 200]),
    (png(16, 2, struct.pack(">6H", *[2313] * 3, *[257] * 3), 2, struct.pack(">3H", *[2313] * 3)), [255, 1]),
    (png(16, 6, struct.pack(">8H", *[0] * 3, 32768, *[257 * 200] * 3, 65535), 2), [127, 200]),
])  # fmt: skip
def test_a_png_of_any_depth_is_scaled(tmp_path: Path, content: bytes, expected: list[int]) -> None:
    (tmp_path / "a.png").write_bytes(content)
    assert apart(read_picture(tmp_path / "a.png"), np.array([expected])) <= 1


@pytest.mark.parametrize(("kind", "top", "ending"), [
    ("<u2", 65535, "png"), ("<u2", 65535, "tif"), (">u2", 65535, "tif"), ("<i4", 65535, "tif"),
    ("<f4", 1.0, "tif"),
])  # fmt: skip
def test_numbers_of_more_bits_are_scaled_and_not_clipped(
    tmp_path: Path, kind: str, top: float, ending: str
) -> None:
    Image.fromarray((RAMP * (top / 65535)).astype(kind)).save(tmp_path / f"a.{ending}")
    assert apart(read_picture(tmp_path / f"a.{ending}"), RAMP * (255 / 65535)) <= 1


@pytest.mark.parametrize(
    "values", [np.array([[0.0, 200.0]]), np.array([[np.nan, 0.5]]), np.array([[-1.0, 1.0]])]
)
def test_numbers_of_which_white_is_unknown_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    Image.fromarray(values.astype(np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(InputError, match="has values from"):
        read_picture(tmp_path / "a.tif")


TURNS = {
    1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a, -1),
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1], 8: lambda a: np.rot90(a),
}  # fmt: skip


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
def test_a_picture_is_turned_as_its_exif_says(tmp_path: Path, orientation: int, ending: str) -> None:
    stored, exif = tiny.picture(3, 24, 40), Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / f"a.{ending}", exif=exif, lossless=True)
    assert apart(read_picture(tmp_path / f"a.{ending}"), TURNS[orientation](stored)) == 0


def test_a_turned_picture_keeps_its_palette_and_16_bits(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(SHOWN).quantize(16).save(tmp_path / "p.png", exif=exif)
    expected = np.asarray(Image.fromarray(SHOWN).quantize(16).convert("RGB"))
    assert apart(read_picture(tmp_path / "p.png"), np.rot90(expected, -1)) == 0
    Image.fromarray(RAMP.astype(np.uint16)).save(tmp_path / "i.png", exif=exif)
    assert apart(read_picture(tmp_path / "i.png"), np.rot90(RAMP / 257, -1)) <= 1


@pytest.mark.parametrize(("mode", "ending", "near"), [
    ("CMYK", "tif", 1), ("CMYK", "jpg", 20), ("YCbCr", "jpg", 20), ("LAB", "tif", 6),
])  # fmt: skip
def test_other_spaces_are_seen_as_colours(tmp_path: Path, mode: str, ending: str, near: int) -> None:
    smooth = np.full((16, 16, 3), (200, 90, 30), np.uint8)
    Image.fromarray(smooth).convert(mode).save(tmp_path / f"a.{ending}", quality=95)
    assert apart(read_picture(tmp_path / f"a.{ending}"), smooth) <= near


def test_grey_is_seen_as_colour(tmp_path: Path) -> None:
    grey = SHOWN[..., 0]
    for name, values in (("8", grey), ("1", grey > 99)):
        Image.fromarray(values).save(tmp_path / f"{name}.png")
    assert apart(read_picture(tmp_path / "8.png"), grey) == 0
    assert apart(read_picture(tmp_path / "1.png"), np.where(grey > 99, 255, 0)) == 0


def profile(colours: str = "sRGB") -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile(colours)).tobytes()


def gamma_one() -> bytes:
    """sRGB's primaries, but light itself instead of its curve: the curves' tags are written over."""
    data = bytearray(profile())
    count = struct.unpack(">I", data[128:132])[0]
    for i in range(count):
        name, offset, _ = struct.unpack(">4sII", data[132 + 12 * i : 144 + 12 * i])
        if name in (b"rTRC", b"gTRC", b"bTRC"):
            data[offset : offset + 16] = b"curv" + bytes(4) + struct.pack(">I", 0) + bytes(4)
    return bytes(data)


def test_a_profile_is_brought_to_srgb(tmp_path: Path) -> None:
    """Light of 0.5 is 188 in sRGB, by its formula."""
    light = np.full((4, 4, 3), 128, np.uint8)
    expected = 255 * (1.055 * (128 / 255) ** (1 / 2.4) - 0.055)
    for name, image in (("rgb", Image.fromarray(light)), ("rgba", Image.fromarray(light).convert("RGBA"))):
        image.save(tmp_path / f"{name}.png", icc_profile=gamma_one())
        assert apart(read_picture(tmp_path / f"{name}.png"), np.full((4, 4), expected)) <= 1


@pytest.mark.parametrize("found", [profile(), profile("LAB"), b"none"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_a_profile_that_says_nothing_changes_nothing(tmp_path: Path, found: bytes, mode: str) -> None:
    image = Image.fromarray(SHOWN).convert(mode)
    image.save(tmp_path / "a.png", icc_profile=found)
    assert apart(read_picture(tmp_path / "a.png"), np.asarray(image.convert("RGB"))) <= 1


@pytest.mark.parametrize("ending", ["gif", "png", "webp", "tif"])
def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path, ending: str) -> None:
    first, then = (Image.new("RGB", (8, 8), colour) for colour in ("red", "blue"))
    first.save(tmp_path / f"a.{ending}", save_all=True, append_images=[then], lossless=True)
    assert apart(read_picture(tmp_path / f"a.{ending}"), np.asarray(first)) == 0


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "gif", "tif", "bmp", "avif"])
def test_half_a_file_is_refused(tmp_path: Path, ending: str) -> None:
    Image.fromarray(tiny.picture(0, 200, 200)).save(tmp_path / f"a.{ending}")
    whole = (tmp_path / f"a.{ending}").read_bytes()
    for share in (0.0, 0.5, 0.95):
        (tmp_path / f"a.{ending}").write_bytes(whole[: int(len(whole) * share)])
        with pytest.raises(
            InputError, match=f"a.{ending} is broken or no image that can be read: save it as PNG"
        ):
            read_picture(tmp_path / f"a.{ending}")


@pytest.mark.parametrize(("content", "said"), [
    (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "save it as PNG"),
    (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "save it as PNG"),
    (png(8, 0, b"", 0), "save it as PNG"),
    (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "Git LFS pointer"),
])  # fmt: skip
def test_what_is_no_picture_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_picture(tmp_path / "a.png")


@pytest.mark.parametrize("limit", [1000, 700, 100])
def test_too_many_pixels_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    Image.fromarray(SHOWN).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=rf"a.png has more than {limit:,} pixels: make it smaller"):
        read_picture(tmp_path / "a.png")


def mask_of(path: Path, values: np.ndarray, **settings: object) -> Path:
    Image.fromarray(values).save(path, **settings)
    return path


def test_a_mask_is_where_it_is_white_and_turned_as_it_is_shown(tmp_path: Path) -> None:
    values, exif = np.zeros((24, 40), np.uint8), Image.Exif()
    values[2:8, 3:30] = 255
    assert np.array_equal(read_mask(mask_of(tmp_path / "a.png", values), (24, 40)), values > 0)
    assert np.array_equal(
        read_mask(mask_of(tmp_path / "b.png", values.astype(np.uint16) * 257), (24, 40)), values > 0
    )
    exif[0x0112] = 6
    turned = mask_of(tmp_path / "c.png", values, exif=exif)
    assert np.array_equal(read_mask(turned, (40, 24)), np.rot90(values, -1) > 0)
    with pytest.raises(InputError, match="has 24 x 40 pixels, but its picture 40 x 24"):
        read_mask(turned, (24, 40))


def test_a_mask_that_says_nothing_clear_is_refused(tmp_path: Path) -> None:
    drawn = np.zeros((8, 8, 4), np.uint8)  # white strokes on nothing: on white, all would change
    drawn[2:4] = 255
    with pytest.raises(InputError, match="transparent parts"):
        read_mask(mask_of(tmp_path / "a.png", drawn), (8, 8))
    with pytest.raises(InputError, match="white everywhere"):
        read_mask(mask_of(tmp_path / "b.png", np.full((8, 8), 255, np.uint8)), (8, 8))
    opaque = np.dstack([drawn[..., :3], np.full((8, 8), 255, np.uint8)])
    assert read_mask(mask_of(tmp_path / "c.png", opaque), (8, 8)).sum() == 16


def test_a_picture_is_decoded_once_as_long_as_its_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    real = Image.open
    monkeypatch.setattr(Image, "open", lambda path: opened.append(path) or real(path))
    file = mask_of(tmp_path / "a.png", SHOWN)
    assert digest(file) == digest(file) == digest(SHOWN)
    assert opened == [file]
    mask_of(tmp_path / "a.png", tiny.picture(1, 40, 40))
    assert digest(file) == digest(tiny.picture(1, 40, 40))
    assert digest(SHOWN.reshape(16, 64, 3)) != digest(SHOWN)
