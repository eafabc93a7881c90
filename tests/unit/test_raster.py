"""Files of every kind to 8-bit pixels in the wanted shape."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from cgm.core.errors import UserError
from cgm.data.raster import Job, Reading, Shape, as_pixels, decode, half, label_colours, rasterise, read_picture, shaped

RAMP = np.linspace(0, 255, 48).astype(np.uint8).reshape(6, 8)
COLOUR = np.stack([RAMP, RAMP[::-1], np.full_like(RAMP, 90)], axis=-1)


def written(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def deep_png(values):
    """A 16-bit PNG of H×W×C: grey and alpha, RGB, RGBA. Pillow writes none of these."""
    raw = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, {1: 0, 2: 4, 3: 2, 4: 6}[values.shape[2]], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(raw)) + chunk(b"IEND", b"")


def tiff(values, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, values, **options)
    return file.getvalue()


def pixels(data, **reading):
    decoded = decode(data, Reading(**reading))
    return as_pixels(decoded.values, Reading(**reading), classes=decoded.classes)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "TGA", "JPEG2000", "AVIF"])
def test_formats(kind):
    exact = kind not in ("GIF", "AVIF")
    data = written(Image.fromarray(COLOUR), kind, **({"lossless": True} if kind == "WEBP" else {"quality": 100} if kind == "AVIF" else {}))
    found = pixels(data).astype(int)
    assert np.abs(found - COLOUR).max() <= (0 if exact else 40)


def test_modes():
    grey = Image.fromarray(RAMP)
    assert (pixels(written(grey)) == RAMP[..., None]).all()
    assert pixels(written(grey)).shape == (6, 8, 3)
    assert (pixels(written(grey), channels=1) == RAMP[..., None]).all()
    assert set(np.unique(pixels(written(grey.convert("1"))))) == {0, 255}
    colour = Image.fromarray(COLOUR)
    assert np.abs(pixels(written(colour.convert("CMYK"), "TIFF")).astype(int) - COLOUR).max() <= 3
    assert np.abs(pixels(written(colour.quantize(256))).astype(int) - COLOUR).max() <= 20
    luma = np.asarray(colour.convert("L"))
    assert (pixels(written(colour), channels=1)[..., 0] == luma).all()


def test_transparency_lies_on_the_ground():
    rgba = np.dstack([COLOUR, np.where(np.arange(8) < 4, 0, 255).astype(np.uint8)[None].repeat(6, 0)])
    for data in (written(Image.fromarray(rgba)), deep_png(rgba.astype(np.uint16) * 257)):
        found = pixels(data, ground=(10, 20, 30))
        assert (found[:, :4] == (10, 20, 30)).all()
        assert (found[:, 4:] == COLOUR[:, 4:]).all()
    palette = Image.fromarray(RAMP).convert("P")
    found = pixels(written(palette, transparency=int(RAMP[0, 0])), ground=(1, 2, 3))
    assert found[0, 0].tolist() == [1, 2, 3]
    grey = np.dstack([RAMP.astype(np.uint16) * 257, np.full_like(RAMP, 65535, np.uint16)])
    assert (pixels(deep_png(grey)) == RAMP[..., None]).all()


@pytest.mark.parametrize("make", [
    lambda values: deep_png(values),
    lambda values: tiff(values, photometric="rgb"),
    lambda values: tiff(np.moveaxis(values, -1, 0), photometric="rgb", planarconfig="separate"),
])  # fmt: skip
def test_sixteen_bits_are_scaled_and_not_cut(make):
    twelve = COLOUR.astype(np.uint16) * 16
    data = make(twelve)
    assert np.abs(pixels(data).astype(float) - twelve / 65535 * 255).max() <= 0.5
    assert np.abs(pixels(data, value_range=(0.0, 4080.0)).astype(int) - COLOUR).max() <= 0
    assert (pixels(make(COLOUR.astype(np.uint16) * 257)) == COLOUR).all()


def test_grey_sixteen_bits():
    data = written(Image.fromarray(RAMP.astype(np.uint16) * 257))
    assert (pixels(data, channels=1)[..., 0] == RAMP).all()
    assert (pixels(tiff(RAMP.astype(np.uint16) * 257), channels=1)[..., 0] == RAMP).all()


def test_floats_and_signed_values():
    assert (pixels(tiff((RAMP / 255).astype(np.float32)), channels=1)[..., 0] == RAMP).all()
    hounsfield = (RAMP.astype(np.int16) * 8) - 1000
    with pytest.raises(
        ValueError, match=r"holds int16 values from -1000 to 1040, and no range says which are black and white; set value_range"
    ):
        pixels(tiff(hounsfield))
    assert (pixels(tiff(hounsfield), value_range=(-1000.0, 1040.0), channels=1)[..., 0] == RAMP).all()
    with pytest.raises(ValueError, match="NaN or infinity"):
        pixels(tiff(np.full((4, 4), np.nan, np.float32)))


def test_eight_bits_need_no_range():
    assert (pixels(written(Image.fromarray(RAMP)), value_range=(0.0, 4095.0), channels=1)[..., 0] == RAMP).all()


def test_class_numbers_keep_apart(tmp_path):
    """Each class has its colour, and enlarging makes no new ones."""
    classes = np.repeat(np.repeat(np.array([[0, 1], [2, 7]], np.uint8), 5, 0), 5, 1)
    palette = Image.fromarray(classes).convert("P")
    palette.putpalette([9, 9, 9] * 8)
    colours = label_colours()
    assert len({tuple(colour) for colour in colours.tolist()}) == 256
    assert colours[:3].tolist() == [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
    for name, image in (("grey", Image.fromarray(classes)), ("palette", palette)):
        image.save(tmp_path / f"{name}.png")
        found = rasterise(Job(path=tmp_path / f"{name}.png", sha256="", reading=Reading(labels=True)), Shape(height=16, width=16))
        assert {tuple(colour) for colour in found.reshape(-1, 3).tolist()} == {tuple(colours[number].tolist()) for number in (0, 1, 2, 7)}
    assert (pixels(written(Image.fromarray(COLOUR)), labels=True) == COLOUR).all(), "a coloured picture holds no class numbers"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation(orientation):
    """Pillow's own reading of the tag is the measure; the deep readers turn arrays."""
    tag = Image.Exif()
    tag[274] = orientation
    stored = Image.fromarray(COLOUR)
    data = written(stored, "PNG", exif=tag)
    from PIL import ImageOps

    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert (pixels(data) == expected).all()
    deep = tiff(COLOUR.astype(np.uint16) * 257, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    assert (pixels(deep) == expected).all()


@pytest.mark.parametrize(("kind", "value"), [(1, b"\6\0\0\0"), (2, b"6\0\0\0"), (7, b"\6\0\0\0"), (3, b"\x09\0\0\0")])
def test_an_orientation_of_a_wrong_type_or_out_of_range_is_none(kind, value):
    tag = b"Exif\0\0II*\0" + struct.pack("<IHHHI", 8, 1, 0x112, kind, 1) + value + struct.pack("<I", 0)
    assert pixels(written(Image.fromarray(COLOUR), "JPEG", exif=tag)).shape == (6, 8, 3)


def test_several_pictures_in_a_file():
    frames = [Image.fromarray(np.full((6, 8, 3), level, np.uint8)) for level in (10, 200)]
    decoded = decode(written(frames[0], "TIFF", save_all=True, append_images=frames[1:]), Reading())
    assert (decoded.frames, int(decoded.values[0, 0, 0])) == (2, 10)


def test_halves_of_odd_width():
    values = np.arange(7)[None]
    assert half(values, "left").tolist() == [[0, 1, 2]]
    assert half(values, "right").tolist() == [[4, 5, 6]]


def test_fits():
    wide = np.zeros((20, 40, 3), np.uint8)
    wide[:, :10], wide[:, 30:] = (255, 0, 0), (0, 0, 255)
    padded = shaped(wide, 16, 16, "pad", (0, 255, 0))
    assert (padded[:4] == (0, 255, 0)).all()
    assert (padded[12:] == (0, 255, 0)).all()
    assert padded[8, 1].tolist() == [255, 0, 0]
    assert shaped(wide, 16, 16, "crop").max() <= 8, "the middle half is black, but for what the filter sees beside it"
    stretched = shaped(wide, 16, 16, "stretch")
    assert (stretched[0, 1].tolist(), stretched[15, 14].tolist()) == ([255, 0, 0], [0, 0, 255])
    assert shaped(wide[..., :1], 8, 16, "crop").shape == (8, 16, 1)


def test_a_line_scan_takes_no_square():
    """60 × 30,000 pixels padded to a square would be 3.4 GB."""
    scan = np.zeros((30_000, 60, 3), np.uint8)
    found = shaped(scan, 32, 32, "pad")
    assert (found[:, 15] == 0).all()
    assert (found[:, :15] == 255).all()
    assert (found[:, 16:] == 255).all()


def test_reduction_is_antialiased():
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    assert np.abs(shaped(stripes, 32, 32, "crop").astype(int) - 127.5).max() < 8


def test_errors_name_the_file(tmp_path):
    with pytest.raises(UserError, match=r"gone\.png: can't be read \(No such file or directory\); run the fetch stage again"):
        rasterise(Job(path=tmp_path / "gone.png", sha256=""), Shape(height=32, width=32))
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(UserError, match=r"text\.png: not a readable image"):
        rasterise(Job(path=tmp_path / "text.png", sha256=""), Shape(height=32, width=32))
    with pytest.raises(UserError, match=r"text\.png: not a readable image"):
        read_picture(tmp_path / "text.png")
    with pytest.raises(UserError, match=r"text\.png: changed since it was fetched"):
        rasterise(Job(path=tmp_path / "text.png", sha256="0" * 64), Shape(height=32, width=32))
