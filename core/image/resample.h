// Resizing, equal to Pillow's bit for bit: separable, antialiased, 8-bit fixed point with a rounding after
// each pass.
#pragma once

#include "core/image/image.h"

namespace dalle1 {

/// nearest, bilinear, bicubic (a = -0.5) and lanczos (three lobes) are Pillow's filters of these names; when
/// shrinking their support grows with the scale, so that nothing aliases. `box` is Pillow's BOX. `area`
/// weighs each source pixel by the part of it that a target pixel covers (AREA of OpenCV and TensorFlow), and
/// rounds once.
enum class Filter : uint8_t { nearest, box, bilinear, bicubic, lanczos, area };

/// `width` x `height` pixels of the whole picture; origin is kept. Colours of RGBA pictures are multiplied by
/// alpha for the resize and divided again after it, as Pillow does (not under `nearest`). A picture of that
/// size already is returned as it is. Error(usage) unless both sides are in [1, kMaxImageSide].
Image resize(const Image& image, int width, int height, Filter filter);

/// What Pillow uses in place of `wanted`: `nearest` for indexed pictures. CLIP's preprocessing needs this.
Filter filter_as_pillow(const Image& image, Filter wanted);

/// The longer side of a picture whose shorter side becomes `size`: `truncate` is torchvision's rule (CLIP),
/// `round_half_even` that of OpenAI's dVAE notebook.
enum class SideRounding : uint8_t { truncate, round_half_even };

/// Shorter side to `size` by `filter`, then the centre `size` x `size`, with torchvision's offset
/// round_half_even((side - size) / 2): how pictures go into a dVAE and into CLIP. Smaller ones are enlarged.
/// Only the square is computed, so that any aspect will do: a picture of 1 x 16384 too.
Image fit_square(const Image& image, int size, Filter filter = Filter::lanczos,
                 SideRounding rounding = SideRounding::round_half_even);

}  // namespace dalle1
