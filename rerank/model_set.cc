#include "rerank/model_set.h"

#include <fmt/format.h>

#include <algorithm>

#include "clip/config.h"
#include "clip/preprocess.h"
#include "core/error.h"
#include "rerank/caption_scorer.h"
#include "rerank/clip_scorer.h"
#include "weights/describe.h"
#include "weights/load.h"
#include "weights/model_dir.h"
#include "weights/sha256.h"

namespace dalle1::rerank {
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

PrecisionName advised_precision(const nlohmann::json& sampling, const Device& device) {
  if (!device.is_cpu() || !sampling.contains("precision")) return usual_precision(device);
  const auto& advice = sampling["precision"];
  check(advice == "f32" || advice == "int8", ErrorKind::model,
        "model.json: 'sampling.precision' is {}; it must be \"f32\" or \"int8\"", advice.dump());
  return precision_from_name(advice.get<std::string>());
}

std::string advised_scorer(const nlohmann::json& sampling) {
  if (!sampling.contains("scorer")) return "clip";
  check(sampling["scorer"].is_string(), ErrorKind::model,
        "model.json: 'sampling.scorer' is {}; it must be a text", sampling["scorer"].dump());
  auto scorer = sampling["scorer"].get<std::string>();
  try {
    parse_scorer(scorer);
  } catch (const Error& error) {
    fail(ErrorKind::model, "model.json: 'sampling.scorer': {}", error.what());
  }
  return scorer;
}

ModelParts open_model(const std::filesystem::path& directory, const std::string& scorer) {
  auto model = weights::read_model_dir(directory);
  const auto take = [&](const std::string& part) {
    check(model.parts.count(part) > 0, ErrorKind::model, "{} has no {}", directory.string(), part);
    return std::move(model.parts.at(part));
  };
  const auto open_tokenizer = [&](const std::optional<weights::TokenizerFile>& file, const char* part) {
    check(file.has_value(), ErrorKind::model, "{} has no tokenizer for its {}", directory.string(), part);
    return std::shared_ptr<const text::Tokenizer>(text::open_tokenizer(file->path));
  };
  ModelParts parts;
  parts.transformer = take("transformer");
  parts.dvae = take("dvae");
  parts.tokenizer = open_tokenizer(model.tokenizer, "transformer");
  for (const auto& term : parse_scorer(scorer)) {
    if (term.name == "clip") {
      parts.clip = take("clip");
      parts.clip_tokenizer = open_tokenizer(model.clip_tokenizer, "CLIP");
    } else if (term.name.starts_with("caption") && !parts.captioner) {
      parts.captioner = take("captioner");
      parts.captioner_tokenizer = parts.tokenizer;
      parts.captioner_tokenizer_file = model.tokenizer->path;
    }
  }
  parts.name = model.name;
  parts.sampling = model.sampling;
  parts.directory = directory;
  return parts;
}

transformer::CaptionerConfig checked_captioner_config(const weights::Checkpoint& captioner,
                                                      const weights::Checkpoint& dvae, int grid,
                                                      const std::filesystem::path& tokenizer) {
  const auto config = transformer::captioner_config_from_json(captioner.config);
  check(!config.reads_clip(), ErrorKind::model,
        "{}: a captioner of condition '{}', where one that reads the grid alone is needed", captioner.source,
        config.condition);
  // The codebook's size is in the dVAE's sum already.
  const TokenShardInfo info{grid > 0 ? grid : config.grid, config.image_vocab,
                            weights::sha256_of_tensors(dvae), weights::sha256_of_file(tokenizer)};
  check_inputs(config, info, captioner.source);
  return config;
}

ModelSet::ModelSet(ModelParts parts, const std::string& scorer, std::shared_ptr<Device> device,
                   PrecisionName precision)
    : parts_(std::move(parts)),
      terms_(parse_scorer(scorer)),
      config_(transformer::config_from_json(parts_.transformer.config)),
      device_(std::move(device)),
      precision_(precision) {
  check_fit();
}

bool ModelSet::uses(const std::string& scorer) const {
  return std::any_of(terms_.begin(), terms_.end(), [&](const auto& term) { return term.name == scorer; });
}

void ModelSet::check_fit() {
  check(!uses("clip") || parts_.clip, ErrorKind::model,
        "the model has no CLIP to rank with: give {} FILE, or rank with {} likelihood", OptionName{"clip"},
        OptionName{"scorer"});
  const bool captions = uses("caption") || uses("caption-ratio");
  check(!captions || parts_.captioner, ErrorKind::model,
        "the model has no captioner to rank with: give {} FILE, or rank with {} clip",
        OptionName{"captioner"}, OptionName{"scorer"});
  check(parts_.tokenizer->vocab_size() <= config_.text_vocab, ErrorKind::model,
        "the tokenizer has {} tokens and the transformer takes {}", parts_.tokenizer->vocab_size(),
        config_.text_vocab);
  if (parts_.captioner)
    captioner_config_ = checked_captioner_config(*parts_.captioner, parts_.dvae, config_.grid,
                                                 parts_.captioner_tokenizer_file);
  if (!parts_.clip) return;
  clip::check_fits(clip::clip_config_from_json(parts_.clip->config), *parts_.clip_tokenizer);
}

const weights::Checkpoint& ModelSet::checkpoint(const std::string& part) const {
  if (part == "transformer") return parts_.transformer;
  if (part == "captioner") return parts_.captioner.value();
  return part == "dvae" ? parts_.dvae : parts_.clip.value();
}

void ModelSet::build() {
  const auto [of_transformer, of_pictures] = precisions_of(precision_, *device_);
  transformer_ = std::make_shared<transformer::Transformer>(*device_, config_, of_transformer);
  dvae_ = dvae::make_dvae(parts_.dvae.config, *device_, of_pictures);
  check(dvae_->codes() == config_.image_vocab, ErrorKind::model,
        "the dVAE has {} codes and the transformer draws {}: they do not belong together", dvae_->codes(),
        config_.image_vocab);
  decoder_ = std::make_shared<DvaeDecoder>(dvae_, *device_, config_.grid);
  if (parts_.clip)
    clip_ =
        std::make_shared<clip::Clip>(clip::clip_config_from_json(parts_.clip->config), *device_, of_pictures);
  if (parts_.captioner) captioner_ = std::make_shared<transformer::Captioner>(*device_, captioner_config_);
}

void ModelSet::load() {
  build();
  const auto fill = [&](Module& model, weights::Checkpoint& checkpoint, const std::string& part) {
    weights::load_parameters(model, checkpoint);
    checkpoint.tensors.clear();  // unmaps the file
    files_[part] = checkpoint.source;
    files_[part + "_sha256"] = sha256_of_part(checkpoint, parts_.directory, part);
    model.prepare();
  };
  fill(*transformer_, parts_.transformer, "transformer");
  fill(*dvae_, parts_.dvae, "dvae");
  if (parts_.clip) fill(*clip_, *parts_.clip, "clip");
  if (parts_.captioner) fill(*captioner_, *parts_.captioner, "captioner");
}

ModelSet ModelSet::on(std::shared_ptr<Device> device) const {
  ModelSet other = *this;
  if (device->is_cpu() != device_->is_cpu()) other.precision_ = usual_precision(*device);
  other.device_ = std::move(device);
  other.build();
  other.transformer_->prepare();
  if (other.clip_) other.clip_->prepare();
  if (other.captioner_) other.captioner_->prepare();
  return other;
}

transformer::TextSlots ModelSet::slot_options(bool truncate) const {
  const auto special = parts_.tokenizer->special();
  return {special.bos, special.eos, truncate};
}

std::vector<int64_t> ModelSet::text_slots(const std::string& prompt, bool truncate) const {
  const auto ids = parts_.tokenizer->encode(prompt);
  const auto frame = config_.layout == "bos_eos" ? 2 : 0;
  const auto count = static_cast<int>(ids.size()) + frame;
  if (!truncate) {
    std::string others;
    bool fits = count <= config_.text_length;
    if (parts_.clip) {
      const auto clip = clip::clip_config_from_json(parts_.clip->config);
      const auto clip_ids = static_cast<int64_t>(parts_.clip_tokenizer->encode(prompt).size()) + 2;
      fits = fits && clip_ids <= clip.context_length;
      others = fmt::format(", and {} for CLIP, which takes {}", clip_ids, clip.context_length);
    }
    if (parts_.captioner) {
      const auto caption_ids = static_cast<int64_t>(parts_.captioner_tokenizer->encode(prompt).size()) + 1;
      fits = fits && caption_ids <= captioner_config_.text_slots;
      others += fmt::format(", and {} for the captioner, which takes {}", caption_ids,
                            captioner_config_.text_slots);
    }
    check(fits, ErrorKind::input,
          "the prompt is too long: {} tokens for the transformer, which takes {}{}; shorten it or pass "
          "{}",
          count, config_.text_length, others, OptionName{"truncate"});
  }
  return transformer::fill_text_slots(config_, ids, slot_options(truncate));
}

std::vector<int64_t> ModelSet::empty_slots() const {
  return transformer::empty_text_slots(config_, slot_options(false));
}

std::unique_ptr<CandidateSource> ModelSet::source(const GenerationOptions& options, const std::string& prompt,
                                                  const std::vector<int32_t>& forced) const {
  transformer::DecodeRequest request;
  request.text = text_slots(prompt, options.truncate);
  request.unconditional =
      options.negative.empty() ? empty_slots() : text_slots(options.negative, options.truncate);
  request.forced.assign(forced.begin(), forced.end());
  request.sampling.rule = {.temperature = static_cast<float>(options.temperature),
                           .top_k = options.top_k,
                           .top_p = static_cast<float>(options.top_p)};
  request.sampling.guidance = static_cast<float>(options.guidance);
  request.sampling.seed = options.seed;
  request.cache = transformer::cache_type_from_name(options.kv_dtype);
  return std::make_unique<TransformerSource>(transformer_, *device_, std::move(request), sharing_);
}

std::shared_ptr<Scorer> ModelSet::scorer_part(const std::string& name, const std::string& prompt,
                                              bool truncate) const {
  if (name == "clip")
    return std::make_shared<ClipScorer>(clip_, *device_, *parts_.clip_tokenizer, prompt, truncate);
  if (name == "caption" || name == "caption-ratio") {
    using Kind = CaptionScorer::Kind;
    return std::make_shared<CaptionScorer>(captioner_, *parts_.captioner_tokenizer, prompt, truncate,
                                           name == "caption" ? Kind::caption : Kind::ratio);
  }
  if (name == "likelihood") return std::make_shared<LikelihoodScorer>();
  auto empty = std::make_shared<TransformerLikelihood>(transformer_, *device_, empty_slots());
  return std::make_shared<LikelihoodRatioScorer>(std::move(empty));
}

void ModelSet::check_parts_for(const std::vector<ScorerTerm>& terms) const {
  for (const ScorerTerm& term : terms)
    check((term.name != "clip" || has_clip()) && (!term.name.starts_with("caption") || has_captioner()),
          ErrorKind::usage, "the scorer {} needs a part of the model that was not opened", term.name);
}

std::shared_ptr<Scorer> ModelSet::scorer(const std::vector<ScorerTerm>& terms, const std::string& prompt,
                                         bool truncate) const {
  check_parts_for(terms);
  if (terms.size() == 1 && terms[0].weight == 1.0) return scorer_part(terms[0].name, prompt, truncate);
  std::vector<WeightedSumScorer::Part> parts;
  for (const auto& term : terms) parts.emplace_back(scorer_part(term.name, prompt, truncate), term.weight);
  return std::make_shared<WeightedSumScorer>(std::move(parts));
}

std::shared_ptr<Scorer> ModelSet::judge_of_tokens(const GenerationOptions& request) const {
  if (request.prune == 0) return nullptr;
  return scorer(terms_of_tokens(parse_scorer(request.scorer)), request.prompt, request.truncate);
}

std::unique_ptr<TokenLikelihood> ModelSet::likelihood(const std::string& prompt, bool truncate) const {
  if (!uses("likelihood") && !uses("likelihood-ratio")) return nullptr;
  return std::make_unique<TransformerLikelihood>(transformer_, *device_, text_slots(prompt, truncate));
}

RunInfo ModelSet::run_info(const GenerationOptions& request) const {
  return {request,       config_.cells(),      DALLE1_VERSION,
          parts_.name,   transformer_sha256(), device_->is_cpu() ? "cpu" : "cuda",
          Json::object()};
}

Json ModelSet::describe() const {
  Json json = {{"name", parts_.name}};
  json.update(files_);
  return json;
}

Json ModelSet::identity() const {
  Json options = Json::object();
  for (const std::string part : {"transformer", "dvae", "clip", "captioner"})
    if (const auto sum = part + "_sha256"; files_.contains(sum)) options[part + " (sha256)"] = files_[sum];
  if (precision_ != usual_precision(*device_)) options["precision"] = name_of(precision_);
  return options;
}

}  // namespace dalle1::rerank
