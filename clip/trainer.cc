#include "clip/trainer.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "clip/contrastive_loss.h"
#include "clip/preprocess.h"
#include "core/ops/embedding.h"
#include "core/ops/movement.h"

namespace dalle1::clip {
namespace {

constexpr float kLargestScale = 100.0f;
constexpr int64_t kTextsTogether = 64;

}  // namespace

ClipTraining ClipTraining::from_json(const nlohmann::json& train, uint64_t seed) {
  ClipTraining t;
  config::read_known(train, t, {ErrorKind::input, "train"});
  t.batches.seed = seed;
  check(t.evaluate_pairs >= t.evaluate_group, ErrorKind::input,
        "'train': evaluate_pairs {} must be at least evaluate_group {}", t.evaluate_pairs, t.evaluate_group);
  return t;
}

ClipTask::ClipTask(Device& device, const ClipConfig& config, const ClipTraining& training,
                   std::shared_ptr<const text::Tokenizer> tokenizer, uint64_t seed,
                   const Precision& precision)
    : device_(device),
      training_(training),
      tokenizer_(std::move(tokenizer)),
      seed_(seed),
      clip_(config, device, precision) {
  check(tokenizer_->vocab_size() <= config.vocab_size, ErrorKind::model,
        "the tokenizer has {} tokens, and this CLIP {}; raise vocab_size", tokenizer_->vocab_size(),
        config.vocab_size);
  check(config.end_token < 0 || config.end_token == tokenizer_->special().eos, ErrorKind::model,
        "the tokenizer ends texts with {}, and this CLIP expects {}; correct end_token",
        tokenizer_->special().eos, config.end_token);
  clip_.initialise(seed);
}

void ClipTask::set_data(std::shared_ptr<const PairSource> source, std::shared_ptr<const PairSource> drawn,
                        std::vector<HeldOutPair> held_out) {
  batches_ = std::make_unique<PairBatches>(std::move(source), std::move(drawn), training_.word_classes,
                                           training_.batches, clip_.config().image_resolution);
  const auto group = std::min(training_.evaluate_group, static_cast<int64_t>(held_out.size()));
  check(group >= 2, ErrorKind::input, "{} pairs are held out for measuring; it needs two at least", group);
  evaluation_ = std::make_unique<Evaluation>(std::move(held_out), training_.word_classes,
                                             training_.ignored_words, group, seed_);
}

// Captions differ much in length: they are encoded in groups of similar length, each cut to its longest.
Tensor ClipTask::encode_texts(Context& context, const std::vector<std::string>& captions) const {
  const auto count = static_cast<int64_t>(captions.size());
  std::vector<int64_t> order(captions.size()), place(captions.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return captions[a].size() < captions[b].size(); });
  std::vector<Tensor> parts;
  for (int64_t begin = 0; begin < count; begin += kTextsTogether) {
    std::vector<std::string> group;
    for (int64_t i = begin; i < std::min(begin + kTextsTogether, count); ++i) {
      place[order[i]] = i;
      group.push_back(captions[order[i]]);
    }
    const Tensor ids = tokenize(device_, clip_.config(), *tokenizer_, group, /*truncate=*/true);
    parts.push_back(clip_.encode_texts(context, without_padding(ids)));
  }
  return ops::embedding(context, Tensor::from(device_, {count}, place), ops::concat(context, parts, 0));
}

// A picture's own caption and its own near misses always count, and so does the caption that a picture was
// drawn for; another text does unless it could be true of the picture.
Tensor ClipTask::exclusions(const PairBatch& batch) const {
  const size_t pictures = batch.pictures.size(), texts = batch.captions.size();
  const size_t pairs = pictures - batch.drawn_for.size();
  std::vector<ContentWords> words;
  for (const auto& caption : batch.captions) words.emplace_back(caption, training_.ignored_words);
  std::vector<float> excluded(pictures * texts, 0.0f);
  for (size_t i = 0; i < pictures; ++i) {
    const size_t caption = i < pairs ? i : static_cast<size_t>(batch.drawn_for[i - pairs]);
    for (size_t j = 0; j < texts; ++j) {
      const bool own =
          j == caption || (j >= pairs && batch.near_miss_of[j - pairs] == static_cast<int64_t>(caption));
      if (!own && words[caption].agrees_with(words[j])) excluded[i * texts + j] = kExcluded;
    }
  }
  return Tensor::from(device_, {static_cast<int64_t>(pictures), static_cast<int64_t>(texts)}, excluded);
}

Tensor ClipTask::loss(Context& context, int64_t batch, nlohmann::json& log) {
  return loss_of(context, batches_->get(batch), log);
}

Tensor ClipTask::loss_of(Context& context, const PairBatch& batch, nlohmann::json& log) {
  const Tensor images = clip_.encode_images(context, normalise(device_, clip_.config(), batch.pictures));
  const Tensor texts = encode_texts(context, batch.captions);
  log["scale"] = clip_.scale();
  const auto pairs = static_cast<int64_t>(batch.pictures.size() - batch.drawn_for.size());
  return contrastive_loss(context, images, texts, pairs, clip_.logit_scale(), exclusions(batch));
}

void ClipTask::after_step(Context& context, int64_t step) {
  if (clip_.scale() <= kLargestScale) return;
  const float largest = std::log(kLargestScale);
  device_.copy_from_host(clip_.logit_scale().raw(), &largest, sizeof largest);
  clip_.logit_scale().touch();
}

nlohmann::json ClipTask::evaluate(int64_t step) { return evaluation_->run(clip_, device_, *tokenizer_); }

void ClipTask::export_model(const std::filesystem::path& folder) { exporter_(clip_, folder); }

bool ClipTask::trainable(const std::string& name) const {
  return !name.ends_with("running_mean") && !name.ends_with("running_var");
}

}  // namespace dalle1::clip
