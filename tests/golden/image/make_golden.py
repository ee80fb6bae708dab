"""Makes the pictures of this folder with Pillow (9.4.0 here) and numpy.

NAME.png or .jpg are inputs; NAME.expected.png is what Pillow's open().convert("RGB") gives for them; resize_*.png are
Image.resize of source_*.png, named resize_MODE_FILTER_WIDTHxHEIGHT.png. area_*.png are exact coverage means by numpy.
cmyk_no_marker.jpg is four squares saved as CMYK, Adobe's marker then taken out.
"""
import struct
import zlib

import numpy as np
from PIL import Image

rng = np.random.default_rng(7)


def picture(width, height, channels):
    y, x = np.mgrid[0:height, 0:width]
    planes = [127 + 120 * np.sin((c + 1) * x / 7.0 + c) * np.cos(y / (5.0 + c)) for c in range(channels)]
    out = np.stack(planes, -1) + rng.normal(0, 25, (height, width, channels))
    out[3:9, 5:20] = 255 * (np.arange(channels) % 2)
    return np.clip(out, 0, 255).astype(np.uint8)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def raw_png(path, array, colour, depth):
    height, width = array.shape[:2]
    rows = b"".join(b"\0" + array[i].astype(">u2" if depth == 16 else ">u1").tobytes() for i in range(height))
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def expect(name, image=None):
    image = image or Image.open(name)
    image.convert("RGB").save(name.rsplit(".", 1)[0] + ".expected.png", optimize=True)


def coverage(source, target):
    weights = np.zeros((target, source))
    for i in range(target):
        low, high = i * source / target, (i + 1) * source / target
        for k in range(source):
            weights[i, k] = max(0.0, min(k + 1, high) - max(k, low)) * target / source
    return weights


rgb = Image.fromarray(picture(37, 29, 3))
rgba = Image.fromarray(picture(37, 29, 4))
grey = Image.fromarray(picture(37, 29, 3)[..., 1])
palette = rgb.quantize(9)
sources = {"rgb": rgb, "rgba": rgba, "grey": grey, "palette": palette}
for name, image in sources.items():
    image.save(f"source_{name}.png", optimize=True)

R = Image.Resampling
cases = [("rgb", f, s) for f in ("bicubic", "lanczos", "bilinear", "box", "nearest") for s in ((16, 13), (53, 41), (37, 5))]
cases += [("rgba", "bicubic", (16, 13)), ("rgba", "lanczos", (53, 41)), ("rgba", "nearest", (16, 13))]
cases += [("grey", "bicubic", (16, 13)), ("grey", "lanczos", (50, 8)), ("palette", "bicubic", (16, 13)), ("rgb", "lanczos", (1, 1))]
for mode, kind, size in cases:
    out = sources[mode].resize(size, getattr(R, kind.upper()))
    out.save(f"resize_{mode}_{kind}_{size[0]}x{size[1]}.png", optimize=True)
for width, height in ((16, 13), (53, 41), (1, 29)):
    a = np.einsum("ik,klc,jl->ijc", coverage(29, height), np.asarray(rgb, float), coverage(37, width))
    Image.fromarray(np.rint(a).astype(np.uint8)).save(f"area_rgb_{width}x{height}.png", optimize=True)

# CLIP's preprocessing of a picture up to the centre crop: torchvision's sizes and offset.
wide = rgb.resize((int(16 * 37 / 29), 16), R.BICUBIC)
left = int(round((wide.width - 16) / 2.0))
wide.crop((left, 0, left + 16, 16)).save("clip_rgb_16.png", optimize=True)

small = rgb.resize((13, 11))
small.quantize(5).save("palette4.png", bits=4)
small.quantize(9).save("palette_transparent.png", transparency=3)
small.convert("1").save("bilevel.png")
small.convert("LA").save("grey_alpha.png")
small.save("rgb_transparent.png", transparency=small.getpixel((2, 2)))
small.save("progressive.jpg", quality=92, progressive=True, subsampling=0)
small.resize((40, 33), R.BICUBIC).save("baseline.jpg", quality=95)
small.convert("L").save("grey.jpg", quality=95)
for name in ("palette4.png", "palette_transparent.png", "bilevel.png", "grey_alpha.png", "rgb_transparent.png",
             "progressive.jpg", "baseline.jpg", "grey.jpg"):
    expect(name)
deep = rng.integers(0, 65536, (11, 13, 3))
raw_png("rgb16.png", deep, 2, 16)
expect("rgb16.png")
raw_png("grey16.png", deep[..., 0], 0, 16)
# Pillow 9.4 clips 16-bit grey at 255 (a white picture); the high byte is what it takes for 16-bit colour.
expect("grey16.png", Image.fromarray((deep[..., 0] >> 8).astype(np.uint8)))
