#include "transformer/caption_trainer.h"

#include <algorithm>

namespace dalle1::transformer {
namespace {

constexpr size_t kCaptionBatchesAhead = 2;

}  // namespace

CaptionTraining caption_training_from_json(const nlohmann::json& train) {
  CaptionTraining training;
  config::read_known(train, training, {ErrorKind::input, "train"});
  return training;
}

CaptionTask::CaptionTask(Captioner& model, TokenSamples data, const text::Tokenizer& tokenizer,
                         const CaptionTraining& training, const TrainOptions& options, Export export_model)
    : model_(model),
      data_(std::move(data)),
      tokenizer_(tokenizer),
      training_(training),
      seed_(options.seed),
      split_(data_.size(), training.validation, options.seed),
      export_(std::move(export_model)),
      ahead_([this](int64_t batch) { return training_samples(batch); }, options.steps * options.accumulate,
             kCaptionBatchesAhead, options.share()) {
  check(model.config().condition == "grid", ErrorKind::model,
        "a captioner of condition '{}' cannot be trained on codes alone: use condition grid",
        model.config().condition);
}

void CaptionTask::add(Samples& samples, uint64_t index, bool dropped) const {
  const TokenRecord pair = data_.read(index);
  const CaptionerConfig& config = model_.config();
  check(static_cast<int64_t>(pair.tokens.size()) == int64_t{config.grid} * config.grid, ErrorKind::input,
        "sample {} has {} image tokens; this captioner's grid is {} x {}", index, pair.tokens.size(),
        config.grid, config.grid);
  samples.codes.insert(samples.codes.end(), pair.tokens.begin(), pair.tokens.end());
  samples.captions.push_back(tokenizer_.encode(pair.caption));
  samples.dropped.push_back(dropped);
}

CaptionTask::Samples CaptionTask::training_samples(int64_t batch) const {
  Samples samples;
  for (int64_t b = 0; b < training_.batch; ++b) {
    const auto position = static_cast<uint64_t>(batch * training_.batch + b);
    RandomStream draw(seed_, Stream::condition_dropout, static_cast<uint32_t>(position),
                      static_cast<uint32_t>(position >> 32));
    add(samples, split_.training_index(position), draw.uniform() < training_.condition_dropout);
  }
  return samples;
}

Tensor CaptionTask::vectors_of(Context& context, const Samples& samples) const {
  const int64_t grid = model_.config().grid;
  CaptionCondition condition;
  condition.codes = Tensor::from(model_.device(), {samples.size(), grid, grid}, samples.codes);
  return model_.picture_vectors(context, condition, samples.dropped);
}

CaptionRows CaptionTask::rows_of(const Samples& samples) const {
  return caption_rows(model_.device(), model_.config(), samples.captions, /*truncate=*/true);
}

Tensor CaptionTask::loss(Context& context, int64_t batch, nlohmann::json& log) {
  const Samples samples = ahead_.get(batch);
  return caption_loss(context, model_, vectors_of(context, samples), rows_of(samples));
}

nlohmann::json CaptionTask::evaluate(int64_t step) {
  if (split_.validation() == 0) return nlohmann::json::object();
  Context context(model_.device());
  double given = 0, without = 0, targets = 0;
  for (int64_t begin = 0; begin < split_.validation(); begin += training_.batch) {
    Samples samples;
    for (int64_t k = begin; k < std::min(split_.validation(), begin + training_.batch); ++k)
      add(samples, split_.held_out_index(k), false);
    const CaptionRows rows = rows_of(samples);
    for (const double value : log_likelihood(context, model_, vectors_of(context, samples), rows))
      given -= value;
    samples.dropped.assign(samples.dropped.size(), 1);
    for (const double value : log_likelihood(context, model_, vectors_of(context, samples), rows))
      without -= value;
    targets += static_cast<double>(rows.target_count());
  }
  return {{"validation_nats", given / targets}, {"validation_null_nats", without / targets}};
}

}  // namespace dalle1::transformer
