// The models that draw and rank pictures: opened and checked at once, loaded when work begins.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "clip/clip.h"
#include "core/nn/precision.h"
#include "core/text/tokenizer.h"
#include "dvae/dvae.h"
#include "rerank/dvae_decoder.h"
#include "rerank/metadata.h"
#include "rerank/scorer.h"
#include "rerank/transformer_source.h"
#include "transformer/captioner.h"
#include "transformer/config.h"
#include "weights/checkpoint.h"

namespace dalle1::rerank {

/// The files of a model, opened and not read.
struct ModelParts {
  weights::Checkpoint transformer, dvae;
  std::optional<weights::Checkpoint> clip, captioner;  ///< Where a scorer needs them.
  std::shared_ptr<const text::Tokenizer> tokenizer, clip_tokenizer, captioner_tokenizer;
  std::filesystem::path captioner_tokenizer_file;
  std::string name;                          ///< Of the model, for records.
  nlohmann::json sampling = Json::object();  ///< weights::ModelDir::sampling; {} without advice.
  std::filesystem::path directory;           ///< Whose model.json may know the files' sha256; may be empty.
};

/// Those of a model directory that `scorer` needs. Error(model) when one is missing.
ModelParts open_model(const std::filesystem::path& directory, const std::string& scorer = "clip");

/// What a model's advice says of the CPU (its member "precision"), else the device's usual one. Error(model)
/// for another value.
PrecisionName advised_precision(const nlohmann::json& sampling, const Device& device);

/// The scorer that a model's advice names (its member "scorer"), else clip. Error(model) for what is no
/// scorer.
std::string advised_scorer(const nlohmann::json& sampling);

/// The configuration of a captioner that reads the codes of grids alone, checked against the dVAE that makes
/// the codes and the tokenizer's file. `grid` 0: of any side. Error(model) in one line where it does not fit.
transformer::CaptionerConfig checked_captioner_config(const weights::Checkpoint& captioner,
                                                      const weights::Checkpoint& dvae, int grid,
                                                      const std::filesystem::path& tokenizer);

class ModelSet {
 public:
  /// Checks that the parts which `scorer` needs are there and fit each other; Error(model) says which do not.
  ModelSet(ModelParts parts, const std::string& scorer, std::shared_ptr<Device> device,
           PrecisionName precision);

  /// Builds the models and reads their weights onto the device; the files are let go of.
  void load();
  /// The same models without their weights on another device, one that only counts memory; of another kind,
  /// in its usual precision.
  ModelSet on(std::shared_ptr<Device> device) const;

  Device& device() const { return *device_; }
  const transformer::TransformerConfig& config() const { return config_; }
  /// Of the parts' files, not of what they take in memory.
  const weights::Checkpoint& checkpoint(const std::string& part) const;
  const nlohmann::json& sampling_advice() const { return parts_.sampling; }
  PrecisionName precision() const { return precision_; }
  /// Before load(): another one than it was made with.
  void set_precision(PrecisionName precision) { precision_ = precision; }
  bool has_clip() const { return parts_.clip.has_value(); }
  bool has_captioner() const { return parts_.captioner.has_value(); }
  /// Whether the scorer is, or sums, the one of this name.
  bool uses(const std::string& scorer) const;

  /// The prompt in the text slots; Error(input) when it does not fit the transformer, CLIP or the captioner,
  /// with their counts.
  std::vector<int64_t> text_slots(const std::string& prompt, bool truncate) const;
  std::vector<int64_t> empty_slots() const;

  // After load() or on():
  DvaeDecoder& decoder() const { return *decoder_; }
  transformer::Transformer& transformer() const { return *transformer_; }
  clip::Clip& clip() const { return *clip_; }                                       ///< Only with has_clip().
  const text::Tokenizer& clip_tokenizer() const { return *parts_.clip_tokenizer; }  ///< Only with has_clip().
  const transformer::Captioner& captioner() const { return *captioner_; }  ///< Only with has_captioner().
  /// Only with has_captioner().
  const text::Tokenizer& captioner_tokenizer() const { return *parts_.captioner_tokenizer; }
  /// Candidates of a prompt; `forced`: [G * G] token or -1 where sampled; empty: all are sampled.
  std::unique_ptr<CandidateSource> source(const GenerationOptions& options, const std::string& prompt,
                                          const std::vector<int32_t>& forced = {}) const;
  /// Candidates of all sources that are made from here on share their steps; on a CPU.
  void share_steps(std::shared_ptr<StepSharing> sharing) { sharing_ = std::move(sharing); }
  /// Error(usage) where a scorer needs a part that was not opened.
  void check_parts_for(const std::vector<ScorerTerm>& terms) const;
  /// The scorer that the set was opened for.
  std::shared_ptr<Scorer> scorer(const std::string& prompt, bool truncate) const {
    return scorer(terms_, prompt, truncate);
  }
  /// Another one, as check_parts_for().
  std::shared_ptr<Scorer> scorer(const std::vector<ScorerTerm>& terms, const std::string& prompt,
                                 bool truncate) const;
  /// What ranks the candidates of a request before they are decoded, where it prunes; else null.
  std::shared_ptr<Scorer> judge_of_tokens(const GenerationOptions& request) const;

  /// Likelihood of given tokens under a prompt where the scorer uses one; null otherwise. For tokens from
  /// elsewhere.
  std::unique_ptr<TokenLikelihood> likelihood(const std::string& prompt, bool truncate) const;

  /// What the records of a run say of it.
  RunInfo run_info(const GenerationOptions& request) const;
  /// What records say of the model, once it is loaded: its name, and of each part where it is and the sha256
  /// of its file, or of each of its files.
  Json describe() const;
  /// What a resumed run compares, as options: {"transformer (sha256)": ..., ...}, and "precision" where it is
  /// not the device's usual one.
  Json identity() const;
  const std::string& name() const { return parts_.name; }
  std::string transformer_sha256() const { return files_.value("transformer_sha256", std::string()); }

 private:
  void check_fit();
  void build();
  std::shared_ptr<Scorer> scorer_part(const std::string& name, const std::string& prompt,
                                      bool truncate) const;
  transformer::TextSlots slot_options(bool truncate) const;

  ModelParts parts_;
  std::vector<ScorerTerm> terms_;
  transformer::TransformerConfig config_;
  transformer::CaptionerConfig captioner_config_;
  Json files_ = Json::object();  // of load(): where each part is and its sha256

  std::shared_ptr<Device> device_;
  PrecisionName precision_ = PrecisionName::f32;
  std::shared_ptr<StepSharing> sharing_;
  std::shared_ptr<transformer::Transformer> transformer_;
  std::shared_ptr<dvae::Dvae> dvae_;
  std::shared_ptr<DvaeDecoder> decoder_;
  std::shared_ptr<clip::Clip> clip_;
  std::shared_ptr<transformer::Captioner> captioner_;
};

}  // namespace dalle1::rerank
