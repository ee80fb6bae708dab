// The one tag of EXIF that pixels depend on.
#pragma once

#include <cstdint>
#include <span>

#include "core/image/image.h"

namespace dalle1 {

/// Tag 0x0112 of the first directory of a TIFF structure (EXIF 2.3, section 4.6.4): 1 to 8, how the stored
/// rows and columns lie in the picture that is meant. 1, as they are, where there is no such tag or the
/// structure is damaged: metadata never keep a picture from being read.
int exif_orientation(std::span<const uint8_t> tiff);

/// The picture that is meant by pixels stored with this orientation.
Image oriented(Image stored, int orientation);

}  // namespace dalle1
