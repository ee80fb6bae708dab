// Training of a captioner on pictures that are codes already and captions that are still text.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/config/fields.h"
#include "core/text/tokenizer.h"
#include "core/train/loop.h"
#include "core/train/read_ahead.h"
#include "transformer/caption_loss.h"
#include "transformer/sample_split.h"
#include "transformer/token_samples.h"

namespace dalle1::transformer {

/// The fields of a training file's `train` object that are the captioner's own.
struct CaptionTraining {
  int64_t batch = 64;              ///< Samples of a micro-batch.
  float condition_dropout = 0.1f;  ///< Share of pictures that are left out, so that p(text) is learned too.
  int64_t validation = 256;        ///< Samples held out, evenly spaced over the data; 0: none.

  static void visit(auto& self, auto& field) {
    field("batch", self.batch, config::within(1, 1 << 20));
    field("condition_dropout", self.condition_dropout, config::below_one());
    field("validation", self.validation, config::at_least(0));
  }
};

/// Reads the fields above and leaves the others to train_options_from_json. Error(input) naming a bad one.
CaptionTraining caption_training_from_json(const nlohmann::json& train);

class CaptionTask final : public TrainTask {
 public:
  using Export = std::function<void(const std::filesystem::path& folder)>;

  /// For a captioner that reads grids. The caller keeps `model` and `tokenizer`. Of `options`: the steps, the
  /// micro-batches of a step, and the seed, which orders the data and chooses the pictures that are left out.
  CaptionTask(Captioner& model, TokenSamples data, const text::Tokenizer& tokenizer,
              const CaptionTraining& training, const TrainOptions& options, Export export_model);

  Module& model() override { return model_; }
  Tensor loss(Context& context, int64_t batch, nlohmann::json& log) override;
  int hidden_matrices(const std::string& name) const override { return hidden_matrices_of(name); }
  /// Of the held-out samples, nats a token: with their pictures, and without ("validation_null_nats").
  nlohmann::json evaluate(int64_t step) override;
  void export_model(const std::filesystem::path& folder) override { export_(folder); }

 private:
  /// Samples with their captions as tokens, still in host memory.
  struct Samples {
    std::vector<int64_t> codes;  // [B, G, G]
    std::vector<std::vector<int32_t>> captions;
    std::vector<uint8_t> dropped;
    int64_t size() const { return static_cast<int64_t>(captions.size()); }
  };
  void add(Samples& samples, uint64_t index, bool dropped) const;
  Samples training_samples(int64_t batch) const;
  Tensor vectors_of(Context& context, const Samples& samples) const;
  CaptionRows rows_of(const Samples& samples) const;

  Captioner& model_;
  TokenSamples data_;
  const text::Tokenizer& tokenizer_;
  CaptionTraining training_;
  uint64_t seed_;
  SampleSplit split_;
  Export export_;
  ReadAhead<Samples> ahead_;  // last: its thread uses all of the above
};

}  // namespace dalle1::transformer
