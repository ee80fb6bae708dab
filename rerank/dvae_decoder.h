// The dVAE as the pipeline sees it: tokens to pictures, and for completion a picture to tokens.
#pragma once

#include <memory>

#include "dvae/dvae.h"
#include "rerank/candidate_source.h"

namespace dalle1::rerank {

class DvaeDecoder : public PictureDecoder {
 public:
  /// `grid`: codes along one side. At most `at_once` pictures are decoded together, which bounds memory; on a
  /// GPU always as many, since bits go by the shape of the work.
  DvaeDecoder(std::shared_ptr<dvae::Dvae> dvae, Device& device, int grid, int at_once = 4);

  int picture_size() const override { return grid_ * static_cast<int>(dvae_->upsampling()); }
  std::vector<Image> decode(std::span<const int32_t> tokens, int count) override;

  /// Side of the pictures that encode() takes.
  int encoded_size() const { return grid_ * static_cast<int>(dvae_->downsampling()); }
  /// [G * G] codes of a square RGB picture of encoded_size() pixels: Error(usage) for another size.
  std::vector<int32_t> encode(const Image& picture);

 private:
  std::shared_ptr<dvae::Dvae> dvae_;
  Device& device_;
  int grid_, at_once_;
};

}  // namespace dalle1::rerank
