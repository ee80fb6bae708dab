#include "tools/models/picture_captioner.h"

#include "rerank/model_set.h"
#include "tools/models/captioner_model.h"
#include "tools/models/transformer_model.h"
#include "weights/describe.h"
#include "weights/load.h"
#include "weights/sha256.h"

namespace dalle1::tools {

void add_captioning_options(CLI::App& app, CaptioningOptions& options) {
  app.add_option("--style", options.style,
                 "Of the captions, which the captioner has to have learned (default: whatever it has)");
  app.add_option("--temperature", options.request.rule.temperature,
                 "Of the draws; 0 takes the likeliest word at each step")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.add_option("--seed", options.request.seed, "Of the draws")->capture_default_str();
}

PictureCaptioner::PictureCaptioner(const CaptioningOptions& options, const CommonOptions& common)
    : request_(options.request) {
  const auto dvae = open_part(common, "dvae"), captioner = open_part(common, "captioner");
  const auto tokenizer = find_captioner_tokenizer(common);
  config_ = rerank::checked_captioner_config(captioner, dvae, 0, tokenizer);
  check(options.style.empty() || options.style == config_.style, ErrorKind::usage,
        "--style {}: this captioner writes {} captions; give --captioner FILE of one that was trained on {} "
        "ones",
        options.style, config_.style, options.style);
  identity_ = {{"captioner", weights::sha256_of_tensors(captioner)},
               {"dvae", weights::sha256_of_tensors(dvae)},
               {"tokenizer", weights::sha256_of_file(tokenizer)},
               {"temperature", request_.rule.temperature},
               {"seed", request_.seed}};
  device_ = open_device(common);
  const auto precision = precision_name_of(common, *device_);
  identity_["precision"] = name_of(precision);
  tokenizer_ = text::open_tokenizer(tokenizer);
  dvae_ = dvae::make_dvae(dvae.config, *device_, precisions_of(precision, *device_).pictures);
  weights::load_parameters(*dvae_, dvae);
  captioner_ = std::make_unique<transformer::Captioner>(*device_, config_);
  weights::load_parameters(*captioner_, captioner);
  captioner_->prepare();
}

std::vector<std::string> PictureCaptioner::captions_of(const std::vector<Image>& pictures) const {
  Context context(*device_);
  transformer::CaptionCondition condition;
  condition.codes = codes_of(*dvae_, *device_, config_.grid, pictures);
  const Tensor vectors = captioner_->picture_vectors(context, condition);
  std::vector<std::string> texts;
  for (const auto& caption : transformer::write_captions(context, *captioner_, vectors, request_))
    texts.push_back(tokenizer_->decode(caption.ids));
  return texts;
}

}  // namespace dalle1::tools
