// Features of any number of pictures and texts in bounded memory.
#pragma once

#include <span>
#include <string>

#include "clip/clip.h"
#include "core/image/image.h"
#include "core/text/tokenizer.h"

namespace dalle1::clip {

/// [N, embed_dim], not normalised, of pictures of any size; at most `at_once` are encoded together.
Tensor image_features(Clip& clip, Device& device, std::span<const Image> pictures, int64_t at_once = 32);
/// The same of texts. One that does not fit is an Error(input), unless `truncate`.
Tensor text_features(const Clip& clip, Device& device, const text::Tokenizer& tokenizer,
                     std::span<const std::string> texts, bool truncate, int64_t at_once = 64);

}  // namespace dalle1::clip
