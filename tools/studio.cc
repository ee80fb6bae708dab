#include "tools/studio.h"

#include <fmt/format.h>

#include <algorithm>

#include "clip/config.h"
#include "clip/preprocess.h"
#include "core/error.h"
#include "rerank/caption_scorer.h"
#include "rerank/clip_scorer.h"
#include "tools/captioner_model.h"
#include "tools/transformer_model.h"
#include "weights/load.h"
#include "weights/model_dir.h"
#include "weights/sha256.h"

namespace dalle1::tools {
namespace {

// Of one file, or of each where a published checkpoint comes in several.
std::string sha256_of_source(const std::string& source) {
  if (std::filesystem::is_regular_file(source)) return weights::sha256_of_file(source);
  constexpr std::string_view separator = ", ";
  std::string sums;
  for (size_t begin = 0; begin < source.size();) {
    const size_t end = std::min(source.find(separator, begin), source.size());
    const auto file = source.substr(begin, end - begin);
    if (!std::filesystem::is_regular_file(file)) return {};
    if (!sums.empty()) sums += separator;
    sums += weights::sha256_of_file(file);
    begin = end + separator.size();
  }
  return sums;
}

// The sha256 that a model directory's model.json has for a part, or that of the file itself.
std::string sha256_of_part(const weights::Checkpoint& checkpoint, const std::filesystem::path& model,
                           const std::string& part) {
  if (weights::is_model_dir(model)) {
    const auto directory = weights::read_model_dir(model);
    const auto& files = directory.document.value("files", nlohmann::json::object());
    const auto file = directory.document.value(part, nlohmann::json::object()).value("file", std::string());
    std::error_code error;
    if (files.contains(file) && std::filesystem::equivalent(checkpoint.source, model / file, error))
      return files[file].value("sha256", std::string());
  }
  return sha256_of_source(checkpoint.source);
}

}  // namespace

Studio::Studio(const CommonOptions& common, const std::string& scorer)
    : common_(common), terms_(rerank::parse_scorer(scorer.empty() ? "clip" : scorer)) {
  transformer_checkpoint_ = open_part(common, "transformer");
  config_ = transformer::config_from_json(transformer_checkpoint_.config);
  dvae_checkpoint_ = open_part(common, "dvae");
  tokenizer_ = open_text_tokenizer(common);
  if (uses("clip")) {
    clip_checkpoint_ = open_part_if_any(common, "clip");
    check(clip_checkpoint_.has_value(), ErrorKind::model,
          "the model has no CLIP to rank with: give --clip FILE, or rank with --scorer likelihood");
    clip_tokenizer_ = open_clip_tokenizer(common);
  }
  if (uses("caption") || uses("caption-ratio")) open_captioner();
  check_fit();
  const auto model = find_model_if_any(common).value_or(std::filesystem::path());
  name_ = transformer_checkpoint_.format;
  if (weights::is_model_dir(model)) {
    const auto directory = weights::read_model_dir(model);
    name_ = directory.name;
    if (common.transformer.empty()) sampling_advice_ = directory.sampling;
  }
  device_ = open_device(common);
  precision_ = precision_of(common, *device_);
}

void Studio::open_captioner() {
  captioner_checkpoint_ = open_part_if_any(common_, "captioner");
  check(captioner_checkpoint_.has_value(), ErrorKind::model,
        "the model has no captioner to rank with: give --captioner FILE, or rank with --scorer clip");
  const auto tokenizer = find_captioner_tokenizer(common_);
  captioner_tokenizer_ = text::open_tokenizer(tokenizer);
  captioner_config_ =
      checked_captioner_config(*captioner_checkpoint_, dvae_checkpoint_, config_.grid, tokenizer);
}

bool Studio::uses(const std::string& scorer) const {
  return std::any_of(terms_.begin(), terms_.end(), [&](const auto& term) { return term.name == scorer; });
}

void Studio::check_fit() const {
  check(tokenizer_->vocab_size() <= config_.text_vocab, ErrorKind::model,
        "the tokenizer has {} tokens and the transformer takes {}", tokenizer_->vocab_size(),
        config_.text_vocab);
  if (!clip_checkpoint_) return;
  const auto clip = clip::clip_config_from_json(clip_checkpoint_->config);
  check(clip_tokenizer_->vocab_size() <= clip.vocab_size, ErrorKind::model,
        "CLIP's tokenizer has {} tokens and CLIP takes {}", clip_tokenizer_->vocab_size(), clip.vocab_size);
}

const weights::Checkpoint& Studio::checkpoint(const std::string& part) const {
  if (part == "transformer") return transformer_checkpoint_;
  if (part == "captioner") return captioner_checkpoint_.value();
  return part == "dvae" ? dvae_checkpoint_ : clip_checkpoint_.value();
}

void Studio::build() {
  const DType matrices = convolutions_of(precision_);
  transformer_ = std::make_shared<transformer::Transformer>(*device_, config_, matrices_of(precision_));
  dvae_ = dvae::make_dvae(dvae_checkpoint_.config, *device_, matrices);
  check(dvae_->codes() == config_.image_vocab, ErrorKind::model,
        "the dVAE has {} codes and the transformer draws {}: they do not belong together", dvae_->codes(),
        config_.image_vocab);
  decoder_ = std::make_shared<rerank::DvaeDecoder>(dvae_, *device_, config_.grid);
  if (clip_checkpoint_)
    clip_ = std::make_shared<clip::Clip>(clip::clip_config_from_json(clip_checkpoint_->config), *device_,
                                         matrices);
  if (captioner_checkpoint_)
    captioner_ = std::make_shared<transformer::Captioner>(*device_, captioner_config_);
}

void Studio::load() {
  build();
  const auto directory = find_model_if_any(common_).value_or(std::filesystem::path());
  const auto fill = [&](Module& model, weights::Checkpoint& checkpoint, const std::string& part) {
    weights::load_parameters(model, checkpoint);
    checkpoint.tensors.clear();  // unmaps the file
    parts_[part] = checkpoint.source;
    parts_[part + "_sha256"] = sha256_of_part(checkpoint, directory, part);
  };
  fill(*transformer_, transformer_checkpoint_, "transformer");
  transformer_->prepare();
  fill(*dvae_, dvae_checkpoint_, "dvae");
  if (clip_checkpoint_) fill(*clip_, *clip_checkpoint_, "clip");
  if (captioner_checkpoint_) fill(*captioner_, *captioner_checkpoint_, "captioner");
}

Studio Studio::on(std::shared_ptr<Device> device) const {
  Studio other = *this;
  if (device->is_cpu() != device_->is_cpu()) other.precision_ = usual_precision(*device);
  other.device_ = std::move(device);
  other.build();
  other.transformer_->prepare();
  return other;
}

transformer::TextSlots Studio::slot_options(bool truncate) const {
  const auto special = tokenizer_->special();
  return {special.bos, special.eos, truncate};
}

std::vector<int64_t> Studio::text_slots(const std::string& prompt, bool truncate) const {
  const auto ids = tokenizer_->encode(prompt);
  const auto frame = config_.layout == "bos_eos" ? 2 : 0;
  const auto count = static_cast<int>(ids.size()) + frame;
  if (!truncate) {
    std::string others;
    bool fits = count <= config_.text_length;
    if (clip_checkpoint_) {
      const auto clip = clip::clip_config_from_json(clip_checkpoint_->config);
      const auto clip_ids = static_cast<int64_t>(clip_tokenizer_->encode(prompt).size()) + 2;
      fits = fits && clip_ids <= clip.context_length;
      others = fmt::format(", and {} for CLIP, which takes {}", clip_ids, clip.context_length);
    }
    if (captioner_checkpoint_) {
      const auto caption_ids = static_cast<int64_t>(captioner_tokenizer_->encode(prompt).size()) + 1;
      fits = fits && caption_ids <= captioner_config_.text_slots;
      others += fmt::format(", and {} for the captioner, which takes {}", caption_ids,
                            captioner_config_.text_slots);
    }
    check(fits, ErrorKind::input,
          "the prompt is too long: {} tokens for the transformer, which takes {}{}; shorten it or pass "
          "--truncate",
          count, config_.text_length, others);
  }
  return transformer::fill_text_slots(config_, ids, slot_options(truncate));
}

std::vector<int64_t> Studio::empty_slots() const {
  return transformer::empty_text_slots(config_, slot_options(false));
}

std::unique_ptr<rerank::CandidateSource> Studio::source(const DrawOptions& options, const std::string& prompt,
                                                        const std::vector<int32_t>& forced) const {
  transformer::DecodeRequest request;
  request.text = text_slots(prompt, options.truncate);
  request.unconditional =
      options.negative.empty() ? empty_slots() : text_slots(options.negative, options.truncate);
  request.forced.assign(forced.begin(), forced.end());
  request.sampling.rule = {static_cast<float>(options.temperature), options.top_k,
                           static_cast<float>(options.top_p)};
  request.sampling.guidance = static_cast<float>(options.guidance);
  request.sampling.seed = options.seed;
  request.cache = transformer::cache_type_from_name(options.kv_dtype);
  return std::make_unique<rerank::TransformerSource>(transformer_, *device_, std::move(request));
}

std::shared_ptr<rerank::Scorer> Studio::scorer_part(const std::string& name, const std::string& prompt,
                                                    bool truncate) const {
  if (name == "clip")
    return std::make_shared<rerank::ClipScorer>(clip_, *device_, *clip_tokenizer_, prompt, truncate);
  if (name == "caption" || name == "caption-ratio") {
    using Kind = rerank::CaptionScorer::Kind;
    return std::make_shared<rerank::CaptionScorer>(captioner_, *captioner_tokenizer_, prompt, truncate,
                                                   name == "caption" ? Kind::caption : Kind::ratio);
  }
  if (name == "likelihood") return std::make_shared<rerank::LikelihoodScorer>();
  auto empty = std::make_shared<rerank::TransformerLikelihood>(transformer_, *device_, empty_slots());
  return std::make_shared<rerank::LikelihoodRatioScorer>(std::move(empty));
}

std::shared_ptr<rerank::Scorer> Studio::scorer(const std::string& prompt, bool truncate) const {
  if (terms_.size() == 1 && terms_[0].weight == 1.0) return scorer_part(terms_[0].name, prompt, truncate);
  std::vector<rerank::WeightedSumScorer::Part> parts;
  for (const auto& term : terms_) parts.emplace_back(scorer_part(term.name, prompt, truncate), term.weight);
  return std::make_shared<rerank::WeightedSumScorer>(std::move(parts));
}

std::unique_ptr<rerank::TokenLikelihood> Studio::likelihood(const std::string& prompt, bool truncate) const {
  if (!uses("likelihood") && !uses("likelihood-ratio")) return nullptr;
  return std::make_unique<rerank::TransformerLikelihood>(transformer_, *device_,
                                                         text_slots(prompt, truncate));
}

rerank::Json Studio::describe() const {
  rerank::Json json = {{"name", name_}};
  json.update(parts_);
  return json;
}

rerank::Json Studio::identity() const {
  rerank::Json options = rerank::Json::object();
  for (const std::string part : {"transformer", "dvae", "clip", "captioner"})
    if (const auto sum = part + "_sha256"; parts_.contains(sum)) options[part + " (sha256)"] = parts_[sum];
  if (precision_ != usual_precision(*device_)) options["precision"] = name_of(precision_);
  return options;
}

}  // namespace dalle1::tools
