"""A stand-in for what a discrete autoencoder does to a picture: half the resolution, blur, and block noise."""

import io

from PIL import Image, ImageFilter


def soften(image, blur=0.4, quality=45):
    side = image.width
    half = image.resize((side // 2, side // 2), Image.BOX).filter(ImageFilter.GaussianBlur(blur))
    stream = io.BytesIO()
    half.resize((side, side), Image.BICUBIC).save(stream, "JPEG", quality=quality)
    return Image.open(stream).convert("RGB")
