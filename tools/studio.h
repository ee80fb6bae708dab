// Everything a drawing command needs of the models: opened and checked at once, loaded when work begins.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "clip/clip.h"
#include "core/nn/precision.h"
#include "core/text/tokenizer.h"
#include "dvae/dvae.h"
#include "rerank/dvae_decoder.h"
#include "rerank/scorer.h"
#include "rerank/transformer_source.h"
#include "tools/draw_options.h"
#include "tools/models.h"
#include "transformer/captioner.h"
#include "transformer/config.h"

namespace dalle1::tools {

class Studio {
 public:
  /// Opens and cross-checks the parts that `scorer` (as in --scorer; empty: clip) makes necessary, without
  /// reading their weights. Error(model) when a part is missing or does not fit the others.
  Studio(const CommonOptions& common, const std::string& scorer);

  /// Builds the models and reads their weights onto the device; the files are let go of.
  void load();
  /// The same models without their weights on another device, one that only counts memory; of another kind,
  /// in its usual precision.
  Studio on(std::shared_ptr<Device> device) const;

  Device& device() const { return *device_; }
  const transformer::TransformerConfig& config() const { return config_; }
  /// Of the parts' files, not of what they take in memory.
  const weights::Checkpoint& checkpoint(const std::string& part) const;
  /// weights::ModelDir::sampling of the model that the transformer comes from; {} for a file.
  const rerank::Json& sampling_advice() const { return sampling_advice_; }
  Precision precision() const { return precision_; }
  /// Before load(): another one than --precision says.
  void set_precision(Precision precision) { precision_ = precision; }
  bool has_clip() const { return clip_checkpoint_.has_value(); }
  bool has_captioner() const { return captioner_checkpoint_.has_value(); }
  /// Whether --scorer names this one.
  bool uses(const std::string& scorer) const;

  /// The prompt in the text slots; Error(input) when it does not fit the transformer, CLIP or the captioner,
  /// with their counts.
  std::vector<int64_t> text_slots(const std::string& prompt, bool truncate) const;
  std::vector<int64_t> empty_slots() const;

  // After load() or on():
  rerank::DvaeDecoder& decoder() { return *decoder_; }
  transformer::Transformer& transformer() { return *transformer_; }
  clip::Clip& clip() { return *clip_; }                                       ///< Only with has_clip().
  const text::Tokenizer& clip_tokenizer() const { return *clip_tokenizer_; }  ///< Only with has_clip().
  const transformer::Captioner& captioner() const { return *captioner_; }     ///< Only with has_captioner().
  /// Only with has_captioner().
  const text::Tokenizer& captioner_tokenizer() const { return *captioner_tokenizer_; }
  /// Candidates of a prompt; `forced`: [G * G] token or -1 where sampled; empty: all are sampled.
  std::unique_ptr<rerank::CandidateSource> source(const DrawOptions& options, const std::string& prompt,
                                                  const std::vector<int32_t>& forced = {}) const;
  std::shared_ptr<rerank::Scorer> scorer(const std::string& prompt, bool truncate) const;

  /// Likelihood of given tokens under a prompt where the scorer uses one; null otherwise. For tokens from
  /// elsewhere.
  std::unique_ptr<rerank::TokenLikelihood> likelihood(const std::string& prompt, bool truncate) const;

  /// What records say of the model, once it is loaded: its name, and of each part where it is and the sha256
  /// of its file, or of each of its files.
  rerank::Json describe() const;
  /// What --resume compares, as options: {"transformer (sha256)": ..., ...}, and "precision" where it is
  /// not the device's usual one.
  rerank::Json identity() const;
  std::string name() const { return name_; }
  std::string transformer_sha256() const { return parts_.value("transformer_sha256", std::string()); }

 private:
  void open_captioner();
  void check_fit() const;
  void build();
  std::shared_ptr<rerank::Scorer> scorer_part(const std::string& name, const std::string& prompt,
                                              bool truncate) const;
  transformer::TextSlots slot_options(bool truncate) const;

  CommonOptions common_;
  std::vector<rerank::ScorerTerm> terms_;
  weights::Checkpoint transformer_checkpoint_, dvae_checkpoint_;
  std::optional<weights::Checkpoint> clip_checkpoint_, captioner_checkpoint_;
  transformer::TransformerConfig config_;
  transformer::CaptionerConfig captioner_config_;
  std::shared_ptr<const text::Tokenizer> tokenizer_, clip_tokenizer_, captioner_tokenizer_;
  std::string name_;
  rerank::Json sampling_advice_ = rerank::Json::object();
  rerank::Json parts_ = rerank::Json::object();  // of load(): files and their sha256

  std::shared_ptr<Device> device_;
  Precision precision_ = Precision::f32;
  std::shared_ptr<transformer::Transformer> transformer_;
  std::shared_ptr<dvae::Dvae> dvae_;
  std::shared_ptr<rerank::DvaeDecoder> decoder_;
  std::shared_ptr<clip::Clip> clip_;
  std::shared_ptr<transformer::Captioner> captioner_;
};

}  // namespace dalle1::tools
