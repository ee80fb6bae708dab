// From pictures and texts to what the encoders take.
#pragma once

#include <span>
#include <string>

#include "clip/config.h"
#include "core/image/image.h"
#include "core/tensor/tensor.h"
#include "core/text/tokenizer.h"

namespace dalle1::clip {

/// As OpenAI publishes it: shorter side to the resolution by antialiased bicubic, centre crop, RGB, / 255,
/// minus mean, over deviation: f32 [B, 3, R, R]. Palette pictures are resized by nearest, pictures with alpha
/// premultiplied, as Pillow does.
Tensor preprocess(Device& device, const ClipConfig& config, std::span<const Image> images);

/// The 8-bit part of it: [R, R, 3].
Image fit_to_resolution(const Image& image, int64_t resolution);
/// The rest, for pictures of the resolution: [B, 3, R, R].
Tensor normalise(Device& device, const ClipConfig& config, std::span<const Image> images);

/// Ids i64 [B, context_length]: start, text, end, zeros. A text that does not fit is an Error(input) that
/// says by how much, unless `truncate`.
Tensor tokenize(Device& device, const ClipConfig& config, const text::Tokenizer& tokenizer,
                std::span<const std::string> texts, bool truncate);

/// Ids [B, T] cut where no text has anything more, at a multiple of 8 so that few sizes occur: the features
/// stay the same.
Tensor without_padding(const Tensor& ids);

}  // namespace dalle1::clip
