#include "clip/pair_batches.h"

#include <algorithm>
#include <cmath>

#include "clip/preprocess.h"
#include "core/image/resample.h"

namespace dalle1::clip {
namespace {

constexpr int kCells = 32;              // along a side: the grid of a dVAE
constexpr float kTintDeviation = 5.0f;  // 8-bit levels

}  // namespace

PairReaderOptions reading_of(const BatchOptions& options) {
  PairReaderOptions reading;
  reading.shuffle = false;
  reading.captions = Captions::required;
  reading.max_bad = options.max_bad;
  reading.on_bad = options.on_bad;
  return reading;
}

Image softened(const Image& picture, RandomStream& random) {
  const int side = picture.width;
  const int small =
      std::max(1, static_cast<int>(static_cast<float>(side) * (0.4f + 0.4f * random.uniform())));
  Image soft = resize(resize(picture, small, small, Filter::box), side, side, Filter::bilinear);
  std::vector<float> tints(kCells * kCells * 3);
  for (float& tint : tints) tint = kTintDeviation * random.normal();
  for (int y = 0; y < side; ++y) {
    for (int x = 0; x < side; ++x) {
      const float* tint = &tints[3 * (y * kCells / side * kCells + x * kCells / side)];
      uint8_t* pixel = soft.at(x, y);
      for (int c = 0; c < 3; ++c) {
        const float value = std::round(static_cast<float>(pixel[c]) + tint[c]);
        pixel[c] = static_cast<uint8_t>(std::clamp(value, 0.0f, 255.0f));
      }
    }
  }
  return soft;
}

PreparedPairs::PreparedPairs(std::shared_ptr<const PairSource> source, const BatchOptions& options,
                             int resolution)
    : reader_(std::move(source), reading_of(options)), resolution_(resolution) {
  const int64_t bytes = static_cast<int64_t>(size()) * resolution * resolution * 3;
  if (bytes > options.cache_megabytes * 1'000'000) return;
  cache_.resize(size());
  captions_.resize(size());
}

Sample PreparedPairs::read(uint64_t index) {
  constexpr uint64_t kStride = 7919;  // far from what neighbouring slots read
  for (;; index = (index + kStride) % size()) {
    if (!cache_.empty() && cache_[index].width > 0) return {{}, captions_[index], cache_[index]};
    auto sample = reader_.read(index);
    if (!sample) continue;
    sample->image = fit_to_resolution(sample->image, resolution_);
    if (!cache_.empty()) {
      cache_[index] = sample->image;
      captions_[index] = sample->caption;
    }
    return std::move(*sample);
  }
}

PairBatches::PairBatches(std::shared_ptr<const PairSource> source, std::shared_ptr<const PairSource> drawn,
                         const WordClasses& classes, const BatchOptions& options, int64_t resolution)
    : classes_(classes),
      options_(options),
      resolution_(static_cast<int>(resolution)),
      pairs_(std::move(source), options, resolution_),
      order_(pairs_.size(), options.seed) {
  check(
      options_.batch >= 2 && options_.near_misses >= 0 && options_.drawn >= 0 && options_.kind_share >= 0 &&
          options_.kind_share < 1 && options_.least_crop > 0 && options_.least_crop <= 1,
      ErrorKind::input,
      "'train': batch {} (at least 2), near_misses {} or drawn {} (0 or more), kind_share {} (in [0, 1)) or "
      "least_crop {} (in (0, 1]) is out of its range",
      options_.batch, options_.near_misses, options_.drawn, options_.kind_share, options_.least_crop);
  if (drawn) {
    check(options_.drawn < options_.batch - of_kind(), ErrorKind::input,
          "'train': {} drawn pictures leave none of a batch of {} to the order of the epochs", options_.drawn,
          options_.batch);
    drawn_.emplace(std::move(drawn), options, resolution_);
  }
  if (classes_.empty() && !drawn_) return;
  std::unordered_map<std::string, std::vector<uint64_t>> of_caption;
  for (uint64_t i = 0; i < pairs_.size(); ++i) {
    const auto caption = pairs_.caption(i);
    if (drawn_) of_caption[caption].push_back(i);
    if (classes_.empty()) continue;
    kinds_.push_back(classes_.kind_of(caption));
    kind_members_[kinds_.back()].push_back(i);
    for (auto& combination : classes_.combinations(caption)) combinations_.insert(std::move(combination));
  }
  if (drawn_) match_drawn(of_caption);
}

void PairBatches::match_drawn(const std::unordered_map<std::string, std::vector<uint64_t>>& of_caption) {
  for (uint64_t i = 0; i < drawn_->size(); ++i)
    if (const auto found = of_caption.find(drawn_->caption(i)); found != of_caption.end())
      matches_.emplace_back(i, found->second);
  check(!matches_.empty(), ErrorKind::input,
        "no drawn picture has the caption of a pair; they must be drawn for captions of the training's "
        "pictures");
}

PairBatches::~PairBatches() {
  if (next_.valid()) next_.wait();
}

PairBatch PairBatches::get(int64_t number) {
  PairBatch batch = next_.valid() && next_number_ == number ? next_.get() : make(number);
  if (next_.valid()) next_.wait();
  next_number_ = options_.share.after(number);
  next_ = std::async(std::launch::async, [this] { return make(next_number_); });
  return batch;
}

int64_t PairBatches::of_kind() const {
  return classes_.empty() ? 0
                          : static_cast<int64_t>(options_.kind_share * static_cast<float>(options_.batch));
}

// First the pairs that drawn pictures belong to, then those that follow the order of the epochs; the rest are
// of the kind of the first pair.
PairBatches::Choice PairBatches::choose(int64_t number) const {
  const auto place = static_cast<uint32_t>(number);
  Choice choice;
  RandomStream drawn(options_.seed, Stream::shuffle, 2, place);
  for (int64_t i = 0; drawn_ && i < options_.drawn; ++i) {
    const auto& [picture, pairs] = matches_[drawn.below(static_cast<uint32_t>(matches_.size()))];
    choice.drawn.push_back(picture);
    choice.pairs.push_back(pairs[drawn.below(static_cast<uint32_t>(pairs.size()))]);
  }
  const int64_t ordered = options_.batch - of_kind() - static_cast<int64_t>(choice.drawn.size());
  for (int64_t slot = 0; slot < ordered; ++slot)
    choice.pairs.push_back(order_.index(static_cast<uint64_t>(number * ordered + slot)));
  RandomStream random(options_.seed, Stream::shuffle, 1, place);
  for (int64_t i = 0; i < of_kind(); ++i) {
    const auto& members = kind_members_.at(kinds_[choice.pairs[0]]);
    choice.pairs.push_back(members[random.below(static_cast<uint32_t>(members.size()))]);
  }
  return choice;
}

bool PairBatches::is_familiar(const std::string& caption) const {
  const auto said = classes_.combinations(caption);
  return std::all_of(said.begin(), said.end(),
                     [&](const auto& combination) { return combinations_.count(combination) > 0; });
}

Image PairBatches::augmented(const Image& picture, RandomStream& random) const {
  const auto least = static_cast<int>(std::lround(options_.least_crop * static_cast<float>(resolution_)));
  const int side = least + static_cast<int>(random.below(static_cast<uint32_t>(resolution_ - least + 1)));
  const auto room = static_cast<uint32_t>(resolution_ - side + 1);
  const int x = static_cast<int>(random.below(room)), y = static_cast<int>(random.below(room));
  Image image = picture;
  if (side < resolution_)
    image = resize(crop(image, x, y, side, side), resolution_, resolution_, Filter::bilinear);
  return random.uniform() < options_.soften_share ? softened(image, random) : image;
}

PairBatch PairBatches::make(int64_t number) {
  PairBatch batch;
  std::vector<std::string> wrong;
  const auto place = static_cast<uint32_t>(number);
  const auto choice = choose(number);
  uint32_t slot = 0;
  for (const uint64_t index : choice.pairs) {
    Sample sample = pairs_.read(index);
    RandomStream augmentation(options_.seed, Stream::augmentation, slot, place);
    RandomStream misses(options_.seed, Stream::hard_negatives, slot, place);
    batch.pictures.push_back(augmented(sample.image, augmentation));
    for (int64_t i = 0; i < options_.near_misses; ++i) {
      const auto miss = classes_.near_miss(sample.caption, misses);
      if (!miss || std::find(wrong.begin(), wrong.end(), miss->caption) != wrong.end()) continue;
      if (!is_familiar(miss->caption)) continue;
      wrong.push_back(miss->caption);
      batch.near_miss_of.push_back(slot);
    }
    batch.captions.push_back(std::move(sample.caption));
    ++slot;
  }
  for (const uint64_t index : choice.drawn) {
    RandomStream augmentation(options_.seed, Stream::augmentation, slot++, place);
    batch.pictures.push_back(augmented(drawn_->read(index).image, augmentation));
    batch.drawn_for.push_back(static_cast<int64_t>(batch.drawn_for.size()));
  }
  batch.captions.insert(batch.captions.end(), wrong.begin(), wrong.end());
  return batch;
}

}  // namespace dalle1::clip
