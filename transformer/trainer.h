// Training of a transformer on pictures that are tokens already and captions that are still text.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/text/tokenizer.h"
#include "core/train/loop.h"
#include "core/train/read_ahead.h"
#include "transformer/caption_mix.h"
#include "transformer/loss.h"
#include "transformer/sample_split.h"
#include "transformer/token_samples.h"

namespace dalle1::transformer {

/// The fields of a training file's `train` object that are the transformer's own.
struct TransformerTraining {
  int64_t batch = 16;            ///< Samples of a micro-batch.
  int32_t text_slots = 0;        ///< Text slots of the first part of the training; 0: all.
  double full_text_from = 0.85;  ///< Share of the steps after which all text slots are used.
  /// Captions replaced by padding, so that guidance has its unconditional prompt.
  float text_dropout = 0.1f;
  float bpe_dropout = 0.1f;
  bool text_padding = false;  ///< See LossOptions.
  bool checkpoint_blocks = false;
  bool zero_ends = false;   ///< See Transformer::initialise.
  int64_t validation = 64;  ///< Samples held out, evenly spaced over the data; 0: none.

  static void visit(auto& self, auto& field) {
    field("batch", self.batch, config::within(1, 1 << 20));
    field("text_slots", self.text_slots);
    field("full_text_from", self.full_text_from, config::within(0, 1));
    field("text_dropout", self.text_dropout, config::below_one());
    field("bpe_dropout", self.bpe_dropout, config::below_one());
    field("text_padding", self.text_padding);
    field("checkpoint_blocks", self.checkpoint_blocks);
    field("validation", self.validation, config::at_least(0));
    field("zero_ends", self.zero_ends);
  }
};

/// Reads the fields above and leaves the others to train_options_from_json. Error(input) naming a bad one.
TransformerTraining transformer_training_from_json(const nlohmann::json& train,
                                                   const TransformerConfig& config);

class TransformerTask final : public TrainTask {
 public:
  using Export = std::function<void(const std::filesystem::path& folder)>;

  /// The caller keeps `model` and `tokenizer`. Of `options`: the steps of the whole training (for
  /// full_text_from), the micro-batches of a step, and the seed, which orders the data. `captions`, of the
  /// data's shards, take the place of the data's own in training, not in evaluation.
  TransformerTask(Transformer& model, TokenSamples data, const text::Tokenizer& tokenizer,
                  const TransformerTraining& training, const TrainOptions& options, Export export_model,
                  std::shared_ptr<const CaptionMix> captions = {});

  Module& model() override { return model_; }
  void begin_step(int64_t place) override { place_ = place; }
  Tensor loss(Context& context, int64_t batch, nlohmann::json& log) override;
  int hidden_matrices(const std::string& name) const override;
  /// Loss of the held-out samples with all text slots, in nats and bits per token.
  nlohmann::json evaluate(int64_t step) override;
  void export_model(const std::filesystem::path& folder) override { export_(folder); }

  /// Called with a batch of held-out samples and their loss with all text slots.
  using HeldOut = std::function<void(const std::vector<TokenRecord>& samples, const Loss& loss)>;
  /// Visits all held-out samples, with the parameters that the model has now.
  void visit_held_out(const HeldOut& visit) const;

 private:
  int32_t text_slots() const;
  /// Samples with their captions as tokens, still in host memory.
  struct Samples {
    std::vector<TokenRecord> pairs;
    std::vector<std::vector<int32_t>> ids;
  };
  Samples training_samples(int64_t batch) const;
  TokenRecord training_sample(uint64_t position) const;
  TokenBatch make_batch(const std::vector<TokenRecord>& pairs, const std::vector<std::vector<int32_t>>& ids,
                        int32_t slots) const;
  TokenRecord read(uint64_t index) const;

  Transformer& model_;
  TokenSamples data_;
  const text::Tokenizer& tokenizer_;
  TransformerTraining training_;
  int64_t steps_;
  int64_t place_ = 0;  // of the step's schedules
  uint64_t seed_;
  SampleSplit split_;
  Export export_;
  std::shared_ptr<const CaptionMix> captions_;
  ReadAhead<Samples> ahead_;  // last: its thread uses all of the above
};

}  // namespace dalle1::transformer
