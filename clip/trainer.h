// Training CLIP from scratch on pictures with captions.
#pragma once

#include <functional>
#include <memory>

#include "clip/clip.h"
#include "clip/evaluation.h"
#include "clip/pair_batches.h"
#include "core/train/loop.h"

namespace dalle1::clip {

/// The fields of `train` that only CLIP reads.
struct ClipTraining {
  BatchOptions batches;
  WordClasses word_classes;
  std::vector<std::string> ignored_words;  ///< They make no difference between captions
  int64_t evaluate_pairs = 128;
  int64_t evaluate_group = 64;  ///< Pairs among which the right one is looked for.

  static void visit(auto& self, auto& field) {
    auto& batches = self.batches;
    field("batch", batches.batch);
    field("near_misses", batches.near_misses);
    field("drawn", batches.drawn);
    field("kind_share", batches.kind_share);
    field("least_crop", batches.least_crop);
    field("soften_share", batches.soften_share);
    field("cache_megabytes", batches.cache_megabytes);
    field("word_classes", self.word_classes);
    field("ignored_words", self.ignored_words);
    field("evaluate_pairs", self.evaluate_pairs);
    field("evaluate_group", self.evaluate_group, config::at_least(2));
  }
  /// Error(input) names a wrong field.
  static ClipTraining from_json(const nlohmann::json& train, uint64_t seed);
};

class ClipTask : public TrainTask {
 public:
  /// Writes the model into a folder.
  using Exporter = std::function<void(Clip& model, const std::filesystem::path& folder)>;

  /// The configuration's vocabulary must have room for the tokenizer's: Error(model).
  ClipTask(Device& device, const ClipConfig& config, const ClipTraining& training,
           std::shared_ptr<const text::Tokenizer> tokenizer, uint64_t seed, const Precision& precision = {});

  /// `drawn` may be null: see PairBatches. Where fewer pairs are held out than evaluate_group, the right one
  /// is looked for among all of them; Error(input) for less than two.
  void set_data(std::shared_ptr<const PairSource> source, std::shared_ptr<const PairSource> drawn,
                std::vector<HeldOutPair> held_out);
  void set_exporter(Exporter exporter) { exporter_ = std::move(exporter); }

  Clip& clip() { return clip_; }

  Module& model() override { return clip_; }
  Tensor loss(Context& context, int64_t batch, nlohmann::json& log) override;
  /// Keeps the scale at 100 or below (section 2.5).
  void after_step(Context& context, int64_t step) override;
  nlohmann::json evaluate(int64_t step) override;
  void export_model(const std::filesystem::path& folder) override;
  /// The stored statistics of batch norms stay as they are.
  bool trainable(const std::string& name) const override;

  /// The loss of a given batch.
  Tensor loss_of(Context& context, const PairBatch& batch, nlohmann::json& log);

 private:
  Tensor encode_texts(Context& context, const std::vector<std::string>& captions) const;
  Tensor exclusions(const PairBatch& batch) const;

  Device& device_;
  ClipTraining training_;
  std::shared_ptr<const text::Tokenizer> tokenizer_;
  uint64_t seed_;
  Clip clip_;
  std::unique_ptr<PairBatches> batches_;
  std::unique_ptr<Evaluation> evaluation_;
  Exporter exporter_;
};

}  // namespace dalle1::clip
