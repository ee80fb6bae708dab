// What writes captions of pictures: the dVAE, the captioner and its tokenizer that the options name.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/image/image.h"
#include "dvae/dvae.h"
#include "tools/models/models.h"
#include "transformer/caption_decoder.h"

namespace dalle1::tools {

struct CaptioningOptions {
  std::string style;  ///< Empty: whatever the captioner has learned.
  transformer::CaptionRequest request;
};

/// --style, --temperature and --seed.
void add_captioning_options(CLI::App& app, CaptioningOptions& options);

class PictureCaptioner {
 public:
  /// Opened, checked against each other and loaded. Error(usage) for a style that this captioner does not
  /// write; Error(model) where a part is missing or another one's.
  PictureCaptioner(const CaptioningOptions& options, const CommonOptions& common);

  Device& device() const { return *device_; }
  const std::string& style() const { return config_.style; }
  /// What decides its captions: {"captioner", "dvae", "tokenizer"} as sha256, and the options.
  const nlohmann::json& identity() const { return identity_; }

  /// request.count captions of each picture, picture after picture; pictures of any size.
  std::vector<std::string> captions_of(const std::vector<Image>& pictures) const;

 private:
  transformer::CaptionRequest request_;
  transformer::CaptionerConfig config_;
  nlohmann::json identity_;
  std::shared_ptr<Device> device_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
  std::unique_ptr<dvae::Dvae> dvae_;
  std::unique_ptr<transformer::Captioner> captioner_;
};

}  // namespace dalle1::tools
