#include "transformer/trainer.h"

#include <numbers>

namespace dalle1::transformer {
namespace {

constexpr size_t kBatchesAhead = 2;

}  // namespace

TransformerTraining transformer_training_from_json(const nlohmann::json& train,
                                                   const TransformerConfig& config) {
  TransformerTraining training;
  config::read_known(train, training, {ErrorKind::input, "train"});
  if (training.text_slots == 0) training.text_slots = config.text_length;
  check(training.text_slots > 1 && training.text_slots <= config.text_length, ErrorKind::input,
        "'train.text_slots' is {}; it must be 2 to text_length, {}", training.text_slots, config.text_length);
  return training;
}

TransformerTask::TransformerTask(Transformer& model, TokenSamples data, const text::Tokenizer& tokenizer,
                                 const TransformerTraining& training, const TrainOptions& options,
                                 Export export_model, std::shared_ptr<const CaptionMix> captions)
    : model_(model),
      data_(std::move(data)),
      tokenizer_(tokenizer),
      training_(training),
      steps_(options.steps),
      seed_(options.seed),
      split_(data_.size(), training.validation, options.seed),
      export_(std::move(export_model)),
      captions_(std::move(captions)),
      ahead_([this](int64_t batch) { return training_samples(batch); }, options.steps * options.accumulate,
             kBatchesAhead, options.share()) {
  if (training_.text_slots == 0) training_.text_slots = model.config().text_length;
}

int32_t TransformerTask::text_slots() const {
  const bool full = static_cast<double>(place_) >= training_.full_text_from * static_cast<double>(steps_);
  return full ? model_.config().text_length : training_.text_slots;
}

TokenRecord TransformerTask::read(uint64_t index) const {
  TokenRecord pair = data_.read(index);
  check(static_cast<int64_t>(pair.tokens.size()) == model_.config().cells(), ErrorKind::input,
        "sample {} has {} image tokens; this model's grid has {}", index, pair.tokens.size(),
        model_.config().cells());
  return pair;
}

TokenBatch TransformerTask::make_batch(const std::vector<TokenRecord>& pairs,
                                       const std::vector<std::vector<int32_t>>& ids, int32_t slots) const {
  const TransformerConfig& config = model_.config();
  const text::SpecialIds special = tokenizer_.special();
  std::vector<int64_t> texts, images;
  for (size_t b = 0; b < pairs.size(); ++b) {
    const auto full = fill_text_slots(config, ids[b], {special.bos, special.eos, /*truncate=*/true});
    texts.insert(texts.end(), full.begin(), full.begin() + slots);
    images.insert(images.end(), pairs[b].tokens.begin(), pairs[b].tokens.end());
  }
  const auto batch = static_cast<int64_t>(pairs.size());
  Device& device = model_.device();
  return {Tensor::from(device, {batch, slots}, texts), Tensor::from(device, {batch, config.cells()}, images)};
}

TokenRecord TransformerTask::training_sample(uint64_t position) const {
  const uint64_t index = split_.training_index(position);
  TokenRecord pair = read(index);
  if (captions_ && captions_->takes_synthetic(seed_, position))
    pair.caption = captions_->caption(data_.record(index));
  return pair;
}

TransformerTask::Samples TransformerTask::training_samples(int64_t batch) const {
  Samples samples;
  for (int64_t b = 0; b < training_.batch; ++b) {
    const auto position = static_cast<uint64_t>(batch * training_.batch + b);
    const TokenRecord& pair = samples.pairs.emplace_back(training_sample(position));
    RandomStream draw(seed_, Stream::text_dropout, static_cast<uint32_t>(position),
                      static_cast<uint32_t>(position >> 32));
    const bool dropped = draw.uniform() < training_.text_dropout;
    samples.ids.push_back(
        dropped ? std::vector<int32_t>()
                : tokenizer_.encode_dropout(pair.caption, training_.bpe_dropout, seed_, position));
  }
  return samples;
}

Tensor TransformerTask::loss(Context& context, int64_t batch, nlohmann::json& log) {
  const Samples samples = ahead_.get(batch);
  const Loss loss = compute_loss(context, model_, make_batch(samples.pairs, samples.ids, text_slots()),
                                 {training_.text_padding, training_.checkpoint_blocks});
  log["text_nats"] = loss.text;
  log["image_nats"] = loss.image;
  return loss.total;
}

int TransformerTask::hidden_matrices(const std::string& name) const { return hidden_matrices_of(name); }

void TransformerTask::visit_held_out(const HeldOut& visit) const {
  Context context(model_.device());
  for (int64_t begin = 0; begin < training_.validation; begin += training_.batch) {
    const int64_t end = std::min(training_.validation, begin + training_.batch);
    std::vector<TokenRecord> pairs;
    std::vector<std::vector<int32_t>> ids;
    for (int64_t k = begin; k < end; ++k) {
      pairs.push_back(read(split_.held_out_index(k)));
      ids.push_back(tokenizer_.encode(pairs.back().caption));
    }
    visit(pairs, compute_loss(context, model_, make_batch(pairs, ids, model_.config().text_length),
                              {training_.text_padding, false}));
  }
}

nlohmann::json TransformerTask::evaluate(int64_t step) {
  if (training_.validation == 0) return nlohmann::json::object();
  double text = 0, image = 0;
  visit_held_out([&](const std::vector<TokenRecord>& samples, const Loss& loss) {
    const auto share = static_cast<double>(samples.size()) / static_cast<double>(training_.validation);
    text += share * loss.text;
    image += share * loss.image;
  });
  return {{"validation_text_nats", text},
          {"validation_text_bits", text / std::numbers::ln2},
          {"validation_image_nats", image},
          {"validation_image_bits", image / std::numbers::ln2}};
}

}  // namespace dalle1::transformer
