#include "dvae/picture_batches.h"

#include <algorithm>

#include "core/image/resample.h"
#include "core/random/philox.h"

namespace dalle1::dvae {
namespace {

class JoinedSource : public PairSource {
 public:
  explicit JoinedSource(std::vector<std::unique_ptr<PairSource>> sources) : sources_(std::move(sources)) {}
  uint64_t size() const override {
    uint64_t total = 0;
    for (const auto& source : sources_) total += source->size();
    return total;
  }
  Pair picture(uint64_t index) const override {
    const PairSource& source = source_of(index);
    return source.picture(index);
  }
  std::string caption(uint64_t index) const override {
    const PairSource& source = source_of(index);
    return source.caption(index);
  }
  DataSummary summary() const override {
    DataSummary all;
    for (const auto& source : sources_) all.add(source->summary());
    return all;
  }

 private:
  /// `index` becomes the one in that source.
  const PairSource& source_of(uint64_t& index) const {
    for (const auto& source : sources_) {
      if (index < source->size()) return *source;
      index -= source->size();
    }
    fail(ErrorKind::internal, "data: index {} past the end", index);
  }

  std::vector<std::unique_ptr<PairSource>> sources_;
};

class PartOfSource : public PairSource {
 public:
  PartOfSource(std::shared_ptr<PairSource> source, uint64_t begin, uint64_t end)
      : source_(std::move(source)), begin_(begin), end_(end) {}
  uint64_t size() const override { return end_ - begin_; }
  Pair picture(uint64_t index) const override { return source_->picture(begin_ + index); }
  std::string caption(uint64_t index) const override { return source_->caption(begin_ + index); }

 private:
  std::shared_ptr<PairSource> source_;
  uint64_t begin_, end_;
};

void append_planes(const Image& rgb, std::vector<float>& values) {
  const size_t pixels = static_cast<size_t>(rgb.width) * rgb.height;
  for (int channel = 0; channel < 3; ++channel) {
    for (size_t i = 0; i < pixels; ++i)
      values.push_back(static_cast<float>(rgb.pixels[3 * i + channel]) / 255.0f);
  }
}

// Pixels that differ from the one before.
int64_t detail(const Image& rgb) {
  int64_t count = 0;
  for (size_t i = 3; i + 2 < rgb.pixels.size(); i += 3) {
    const uint8_t* p = rgb.pixels.data() + i;
    count += p[0] != p[-3] || p[1] != p[-2] || p[2] != p[-1];
  }
  return count;
}

}  // namespace

std::shared_ptr<PairSource> join_sources(std::vector<std::unique_ptr<PairSource>> sources) {
  check(!sources.empty(), ErrorKind::usage, "no training data; give {}", OptionName{"data"});
  return std::make_shared<JoinedSource>(std::move(sources));
}

std::pair<std::shared_ptr<PairSource>, std::shared_ptr<PairSource>> split_source(
    const std::shared_ptr<PairSource>& source, uint64_t keep) {
  check(keep < source->size(), ErrorKind::input, "data: {} pictures are too few to set {} aside",
        source->size(), source->size() - std::min(keep, source->size()));
  return {std::make_shared<PartOfSource>(source, 0, keep),
          std::make_shared<PartOfSource>(source, keep, source->size())};
}

PictureBatches::PictureBatches(std::shared_ptr<PairReader> reader, const BatchOptions& options)
    : reader_(std::move(reader)), options_(options) {
  check(options_.batch > 0 && options_.crop > 0 && options_.crop <= options_.resolution &&
            options_.crops_per_picture > 0 && options_.crop_candidates > 0 &&
            options_.batch % options_.crops_per_picture == 0,
        ErrorKind::input,
        "'train': batch {}, crop {}, resolution {} and crops_per_picture {} do not go together: the crop is "
        "at most "
        "the resolution, and crops_per_picture divides the batch",
        options_.batch, options_.crop, options_.resolution, options_.crops_per_picture);
}

PictureBatches::~PictureBatches() {
  if (next_.valid()) next_.wait();
}

Tensor PictureBatches::get(Device& device, int64_t number) {
  std::vector<float> values = next_.valid() && next_number_ == number ? next_.get() : make(number);
  if (next_.valid()) next_.wait();
  next_number_ = options_.share.after(number);
  next_ = std::async(std::launch::async, [this] { return make(next_number_); });
  return Tensor::from(device, {options_.batch, 3, options_.crop, options_.crop}, values);
}

// The picture of a slot, cut and shrunk. A broken one is replaced by another of the same order.
Image PictureBatches::square_of(uint64_t slot, int64_t number, RandomStream& random) {
  constexpr uint64_t kStride = 7919;  // far from what neighbouring slots read
  const uint64_t pictures = options_.batch / options_.crops_per_picture;
  std::optional<Sample> sample;
  for (uint64_t position = number * pictures + slot; !sample; position += kStride)
    sample = reader_->read(position);
  Image image = to_rgb(sample->image);
  const int side = std::min(image.width, image.height);
  image = crop(image, static_cast<int>(random.below(image.width - side + 1)),
               static_cast<int>(random.below(image.height - side + 1)), side, side);
  const int least = std::min(side, options_.resolution * 9 / 8),
            most = std::min(side, options_.resolution * 12 / 8);
  const int target = std::max(least + static_cast<int>(random.below(static_cast<uint32_t>(most - least + 1))),
                              options_.crop);
  return target == side ? image
                        : resize(image, target, target, target < side ? Filter::area : Filter::bicubic);
}

std::vector<float> PictureBatches::make(int64_t number) {
  std::vector<float> values;
  values.reserve(options_.batch * 3 * options_.crop * options_.crop);
  const uint64_t pictures = options_.batch / options_.crops_per_picture;
  for (uint64_t slot = 0; slot < pictures; ++slot) {
    RandomStream random(options_.seed, Stream::augmentation, static_cast<uint32_t>(slot),
                        static_cast<uint32_t>(number));
    const Image square = square_of(slot, number, random);
    const auto room = static_cast<uint32_t>(square.width - options_.crop + 1);
    for (int i = 0; i < options_.crops_per_picture; ++i) {
      Image part;
      for (int64_t candidate = 0, most = -1; candidate < options_.crop_candidates; ++candidate) {
        const int x = static_cast<int>(random.below(room)), y = static_cast<int>(random.below(room));
        Image drawn = crop(square, x, y, options_.crop, options_.crop);
        const int64_t found = detail(drawn);
        if (found <= most) continue;
        most = found;
        part = std::move(drawn);
      }
      append_planes(options_.mirror && random.uniform() < 0.5f ? flip_horizontal(part) : part, values);
    }
  }
  if (options_.dither > 0) {
    RandomStream random(options_.seed, Stream::dither, static_cast<uint32_t>(number));
    const float width = options_.dither / 255.0f;
    for (float& value : values) value = std::clamp(value + width * (random.uniform() - 0.5f), 0.0f, 1.0f);
  }
  return values;
}

Tensor tensor_of_images(Device& device, const std::vector<Image>& images) {
  check(!images.empty(), ErrorKind::internal, "a batch of no pictures");
  std::vector<float> values;
  for (const Image& image : images) {
    check(image.width == images[0].width && image.height == images[0].height, ErrorKind::internal,
          "pictures of {}x{} and {}x{} in one batch", image.width, image.height, images[0].width,
          images[0].height);
    append_planes(image.channels == 3 ? image : to_rgb(image), values);
  }
  return Tensor::from(device, {static_cast<int64_t>(images.size()), 3, images[0].height, images[0].width},
                      values);
}

std::vector<Image> images_of_tensor(const Tensor& tensor) {
  const std::vector<float> values = tensor.to_floats();
  const int width = static_cast<int>(tensor.dim(3)), height = static_cast<int>(tensor.dim(2));
  const size_t pixels = static_cast<size_t>(width) * height;
  std::vector<Image> images;
  for (int64_t b = 0; b < tensor.dim(0); ++b) {
    Image& image = images.emplace_back(width, height, 3);
    for (size_t channel = 0; channel < 3; ++channel) {
      const float* plane = values.data() + (b * 3 + channel) * pixels;
      for (size_t i = 0; i < pixels; ++i) {
        image.pixels[3 * i + channel] = static_cast<uint8_t>(std::clamp(plane[i], 0.0f, 1.0f) * 255.0f);
      }
    }
  }
  return images;
}

}  // namespace dalle1::dvae
