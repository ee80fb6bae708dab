#include "transformer/caption_decoder.h"

#include <algorithm>

#include "core/ops/movement.h"
#include "core/ops/sampling.h"
#include "transformer/sampler.h"

namespace dalle1::transformer {
namespace {

constexpr int64_t kDrawn = -1;  // no token is forced

// What a picture and bos leave behind.
struct PicturePrefix {
  std::vector<LayerPrefix> layers;
  Tensor logits;  // of the first token, [1, classes]
};

PicturePrefix prefill(Context& context, const Captioner& model, const Tensor& vectors) {
  const CaptionerConfig& config = model.config();
  const Tensor bos = Tensor::from(model.device(), {1, 1}, std::vector<int64_t>{config.bos()});
  PrefillSequence sequence(model.patterns(), config.heads);
  const Tensor hidden = model.trunk(context, model.embed(context, vectors, bos), sequence);
  const int64_t last = hidden.dim(1) - 1;
  const Tensor state = hidden.view({last + 1, config.width}).rows(last, last + 1);
  return {sequence.take(), model.logits(context, state)};
}

// The captions on their way, caption after caption of picture after picture.
class CaptionWriter {
 public:
  CaptionWriter(const Captioner& model, const Tensor& vectors, const CaptionRequest& request)
      : model_(model), context_(model.device()) {
    const CaptionerConfig& config = model.config();
    const int64_t pictures = vectors.dim(0), count = pictures * request.count, slots = config.text_slots;
    captions_.resize(static_cast<size_t>(count));
    std::vector<Tensor> first;
    std::vector<std::span<const LayerPrefix>> layers;
    for (int64_t b = 0; b < pictures; ++b) {
      prefixes_.push_back(prefill(context_, model, vectors.rows(b, b + 1)));
      first.insert(first.end(), request.count, prefixes_.back().logits);
    }
    for (const PicturePrefix& prefix : prefixes_) layers.emplace_back(prefix.layers);
    logits_ = ops::concat(context_, first, 0);
    const Segment text = config.sequence().text();
    const auto plans = plan_slots(model.patterns(), text.begin + 1, text.end);
    sequence_ = std::make_unique<CachedSequence>(model.device(), plans, std::move(layers), request.count);
    sampling_ = sampling_of(request, count, slots);
  }

  std::vector<Caption> run() {
    const CaptionerConfig& config = model_.config();
    sample(0);
    for (int32_t slot = 1; slot < config.text_slots && !all_complete(); ++slot) {
      sequence_->seek(config.sequence().text().begin + slot);
      const Tensor x = model_.embed_at(context_, sampling_.newest, slot);
      logits_ = model_.logits(context_, model_.trunk(context_, x, *sequence_));
      ops::advance(sampling_.cell);
      sample(slot);
    }
    return std::move(captions_);
  }

 private:
  CellSampling sampling_of(const CaptionRequest& request, int64_t count, int64_t slots) const {
    Device& device = model_.device();
    std::vector<uint32_t> numbers(static_cast<size_t>(count));
    for (size_t n = 0; n < numbers.size(); ++n)
      numbers[n] = static_cast<uint32_t>(n % static_cast<size_t>(request.count));
    CellSampling sampling;
    sampling.rule = request.rule;
    sampling.seed = request.seed;
    sampling.cell = Tensor::from(device, {1}, std::vector<int64_t>{0});
    sampling.candidates = Tensor::empty(device, {count}, DType::i32);
    device.copy_from_host(sampling.candidates.raw(), numbers.data(), numbers.size() * sizeof(uint32_t));
    sampling.forced = Tensor::from(device, {slots}, std::vector<int64_t>(slots, kDrawn));
    sampling.tokens = Tensor::zeros(device, {slots, count}, DType::i64);
    sampling.log_probs = Tensor::zeros(device, {slots, count});
    sampling.newest = Tensor::zeros(device, {count}, DType::i64);
    return sampling;
  }

  bool all_complete() const {
    return std::all_of(captions_.begin(), captions_.end(), [](const Caption& c) { return c.complete; });
  }

  // The tokens that come at `slot`; those of captions that have ended mean nothing.
  void sample(int32_t slot) {
    ops::sample_cell(logits_, logits_, sampling_);
    const auto tokens = sampling_.newest.to_ints();
    const auto log_probs = sampling_.log_probs.rows(slot, slot + 1).to_floats();
    for (size_t n = 0; n < captions_.size(); ++n) {
      Caption& caption = captions_[n];
      if (caption.complete) continue;
      caption.log_likelihood += log_probs[n];
      caption.complete = tokens[n] == model_.config().eos();
      if (!caption.complete) caption.ids.push_back(static_cast<int32_t>(tokens[n]));
    }
  }

  const Captioner& model_;
  Context context_;
  std::vector<PicturePrefix> prefixes_;
  std::unique_ptr<CachedSequence> sequence_;  // reads prefixes_
  CellSampling sampling_;
  std::vector<Caption> captions_;
  Tensor logits_;  // [N, classes]
};

}  // namespace

std::vector<Caption> write_captions(Context& context, const Captioner& model, const Tensor& vectors,
                                    const CaptionRequest& request) {
  check(request.count >= 1, ErrorKind::usage, "{} {}: it must be 1 or more", OptionName{"count"},
        request.count);
  SamplingOptions options;
  options.rule = request.rule;
  validate(options);
  return CaptionWriter(model, vectors, request).run();
}

}  // namespace dalle1::transformer
