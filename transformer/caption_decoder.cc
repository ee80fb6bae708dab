#include "transformer/caption_decoder.h"

#include <algorithm>

#include "core/ops/embedding.h"
#include "core/ops/movement.h"
#include "transformer/sampler.h"

namespace dalle1::transformer {
namespace {

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

// The captions on their way.
class Lockstep {
 public:
  Lockstep(const Captioner& model, const Tensor& vectors, const CaptionRequest& request)
      : model_(model), request_(request), context_(model.device()) {
    std::vector<Tensor> first;
    for (int64_t b = 0; b < vectors.dim(0); ++b) {
      prefixes_.push_back(prefill(context_, model, vectors.rows(b, b + 1)));
      first.insert(first.end(), request.count, prefixes_.back().logits);
      for (int32_t k = 0; k < request.count; ++k) numbers_.push_back(static_cast<uint32_t>(k));
    }
    captions_.resize(numbers_.size());
    newest_.resize(numbers_.size());
    log_probs_.resize(numbers_.size());
    logits_ = ops::concat(context_, first, 0);
  }

  std::vector<Caption> run() {
    const CaptionerConfig& config = model_.config();
    const int32_t before = config.picture_vectors();
    std::vector<std::span<const LayerPrefix>> layers;
    for (const PicturePrefix& prefix : prefixes_) layers.emplace_back(prefix.layers);
    CachedSequence sequence(model_.device(), plan_slots(model_.patterns(), before + 1, config.positions()),
                            std::move(layers), request_.count);
    choose(0);
    for (int32_t slot = 1; slot < config.text_slots && !all_complete(); ++slot) {
      sequence.seek(before + slot);
      const auto count = static_cast<int64_t>(newest_.size());
      const Tensor x = model_.embed_at(context_, Tensor::from(model_.device(), {count}, newest_), slot);
      logits_ = model_.logits(context_, model_.trunk(context_, x, sequence));
      choose(slot);
    }
    return std::move(captions_);
  }

 private:
  bool all_complete() const {
    return std::all_of(captions_.begin(), captions_.end(), [](const Caption& c) { return c.complete; });
  }

  // The tokens that come at `slot`; what has ended goes on with eos, unseen.
  void choose(int32_t slot) {
    const CaptionerConfig& config = model_.config();
    logits_.kernels().sample(logits_, request_.rule, request_.seed, numbers_, static_cast<uint32_t>(slot),
                             newest_, log_probs_);
    for (size_t n = 0; n < captions_.size(); ++n) {
      Caption& caption = captions_[n];
      if (caption.complete) {
        newest_[n] = config.eos();
        continue;
      }
      caption.log_likelihood += log_probs_[n];
      caption.complete = newest_[n] == config.eos();
      if (!caption.complete) caption.ids.push_back(static_cast<int32_t>(newest_[n]));
    }
  }

  const Captioner& model_;
  const CaptionRequest& request_;
  Context context_;
  std::vector<PicturePrefix> prefixes_;
  std::vector<uint32_t> numbers_;
  std::vector<Caption> captions_;
  std::vector<int64_t> newest_;
  std::vector<float> log_probs_;
  Tensor logits_;  // [N, classes]
};

}  // namespace

std::vector<Caption> write_captions(Context& context, const Captioner& model, const Tensor& vectors,
                                    const CaptionRequest& request) {
  check(request.count >= 1, ErrorKind::usage, "{} captions of each picture; it must be 1 or more",
        request.count);
  SamplingOptions options;
  options.rule = request.rule;
  validate(options);
  return Lockstep(model, vectors, request).run();
}

}  // namespace dalle1::transformer
