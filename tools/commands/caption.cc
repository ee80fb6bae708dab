// dalle1 caption: what pictures show, in words.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "rerank/model_set.h"
#include "tools/models/captioner_model.h"
#include "tools/models/clip_model.h"
#include "tools/models/transformer_model.h"
#include "tools/program/command.h"
#include "transformer/caption_decoder.h"
#include "weights/load.h"

namespace dalle1::tools {
namespace {

constexpr size_t kPicturesAtOnce = 16;

struct CaptionOptions {
  std::vector<std::string> pictures;
  std::string style;
  transformer::CaptionRequest request;
};

// What writes captions: the dVAE, the captioner and its tokenizer.
class Writer {
 public:
  Writer(const CaptionOptions& options, const CommonOptions& common) : options_(options) {
    const auto dvae = open_part(common, "dvae"), captioner = open_part(common, "captioner");
    const auto tokenizer = find_captioner_tokenizer(common);
    const auto config = rerank::checked_captioner_config(captioner, dvae, 0, tokenizer);
    check(
        options.style.empty() || options.style == config.style, ErrorKind::usage,
        "--style {}: this captioner writes {} captions; give --captioner FILE of one that was trained on {} "
        "ones",
        options.style, config.style, options.style);
    device_ = open_device(common);
    tokenizer_ = text::open_tokenizer(tokenizer);
    dvae_ = dvae::make_dvae(dvae.config, *device_,
                            precisions_of(precision_name_of(common, *device_), *device_).pictures);
    weights::load_parameters(*dvae_, dvae);
    captioner_ = std::make_unique<transformer::Captioner>(*device_, config);
    weights::load_parameters(*captioner_, captioner);
    captioner_->prepare();
  }

  /// request.count captions of each picture.
  std::vector<std::string> captions_of(const std::vector<Image>& pictures) const {
    Context context(*device_);
    transformer::CaptionCondition condition;
    condition.codes = codes_of(*dvae_, *device_, captioner_->config().grid, pictures);
    const Tensor vectors = captioner_->picture_vectors(context, condition);
    std::vector<std::string> texts;
    for (const auto& caption : transformer::write_captions(context, *captioner_, vectors, options_.request))
      texts.push_back(tokenizer_->decode(caption.ids));
    return texts;
  }

 private:
  const CaptionOptions& options_;
  std::shared_ptr<Device> device_;
  std::unique_ptr<text::Tokenizer> tokenizer_;
  std::unique_ptr<dvae::Dvae> dvae_;
  std::unique_ptr<transformer::Captioner> captioner_;
};

int caption(const CaptionOptions& options, const CommonOptions& common) {
  check(options.request.count == 1 || options.request.rule.temperature > 0, ErrorKind::usage,
        "--count {}: the likeliest caption is always the same; give a --temperature above 0, such as 0.7",
        options.request.count);
  const GivenPictures pictures(options.pictures);
  const Writer writer(options, common);
  nlohmann::ordered_json rows = nlohmann::ordered_json::array();
  for (size_t begin = 0; begin < pictures.images.size(); begin += kPicturesAtOnce) {
    const size_t end = std::min(begin + kPicturesAtOnce, pictures.images.size());
    const auto at = [&](size_t i) { return pictures.images.begin() + static_cast<std::ptrdiff_t>(i); };
    const auto texts = writer.captions_of({at(begin), at(end)});
    for (size_t i = 0; i < texts.size(); ++i) {
      const auto& file = pictures.paths[begin + i / static_cast<size_t>(options.request.count)];
      rows.push_back({{"file", file}, {"caption", texts[i]}});
      if (!common.json) fmt::print("{}: {}\n", file, texts[i]);
    }
  }
  if (common.json) fmt::print("{}\n", json_text(rows));
  pictures.check_all_read();
  return 0;
}

}  // namespace

Command caption_command() {
  return {"caption", "Write what pictures show", "dalle1 caption *.png --captioner runs/captioner/model",
          [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<CaptionOptions>();
            add_model_options(app, common);
            app.add_option("pictures", options->pictures, "PNG or JPEG files")->required();
            app.add_option(
                "--style", options->style,
                "Of the captions, which the captioner has to have learned (default: whatever it has)");
            app.add_option("--count", options->request.count, "Captions of each picture")
                ->check(CLI::Range(1, 1024))
                ->capture_default_str();
            app.add_option("--temperature", options->request.rule.temperature,
                           "Of the draws; 0 takes the likeliest word at each step")
                ->check(CLI::NonNegativeNumber)
                ->capture_default_str();
            app.add_option("--seed", options->request.seed, "Of the draws")->capture_default_str();
            return [options, &common] { return caption(*options, common); };
          }};
}

}  // namespace dalle1::tools
