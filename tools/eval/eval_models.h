// How good each model is alone, on pictures with captions that no training has seen.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/image/image.h"
#include "rerank/results.h"
#include "tools/models/open_model_set.h"
#include "tools/train/data_report.h"

namespace dalle1::tools {

struct HeldOutPicture {
  std::string caption, kind;
  Image picture;                ///< RGB, of the size that the dVAE encodes.
  std::vector<int32_t> tokens;  ///< [G * G], by measure_dvae().
};

/// At most `limit` pictures of some kinds (empty: all), evenly spread over a captions.jsonl (or a folder with
/// one); "kind" is optional there, and of several captions the first counts. Those without a caption are left
/// out and reported. Error(input) names file and line.
std::vector<HeldOutPicture> read_held_out(const std::filesystem::path& where,
                                          const std::vector<std::string>& kinds, int limit, int side,
                                          DataReport& report);

/// Reconstruction from hard codes, by kind and of all: {"kind", "pictures", "psnr" (over all pixels, dB),
/// "ssim" (mean)}; with "codes_used" and "perplexity". Leaves the codes in `pictures`.
rerank::Json measure_dvae(rerank::ModelSet& models, std::vector<HeldOutPicture>& pictures);

/// Cross entropy of the image tokens given the captions, by kind and of all: {"kind", "pictures",
/// "image_nats", "image_bits"} per token.
rerank::Json measure_transformer(rerank::ModelSet& models, const std::vector<HeldOutPicture>& pictures);

/// Recall among 64 pairs as clip::Evaluation has it; with a training file of CLIP, whose word classes make
/// near misses, also recall among those. Null for fewer than two pictures.
rerank::Json measure_clip(rerank::ModelSet& models, const std::vector<HeldOutPicture>& pictures,
                          const std::string& near_misses);

}  // namespace dalle1::tools
