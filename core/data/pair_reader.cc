#include "core/data/pair_reader.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace dalle1 {

PairReader::PairReader(std::shared_ptr<const PairSource> source, PairReaderOptions options)
    : source_(std::move(source)),
      options_(std::move(options)),
      order_(source_->size(), options_.seed, options_.shuffle, options_.rank, options_.world) {
  check(options_.max_bad >= 0 && options_.max_bad <= 1, ErrorKind::usage,
        "data: {} is not a share of broken samples; it must be in [0, 1]", options_.max_bad);
  const auto share = static_cast<uint64_t>(options_.max_bad * static_cast<double>(source_->size()));
  allowed_bad_ = options_.max_bad > 0 ? std::max<uint64_t>(share, 1) : 0;
}

template <typename Read>
auto PairReader::unless_broken(uint64_t index, const Read& read) -> std::optional<decltype(read())> {
  try {
    return read();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::input) throw;
    count_bad(index, error.what());
    return std::nullopt;
  }
}

std::optional<Sample> PairReader::read(uint64_t position) {
  const uint64_t index = order_.index(position);
  return unless_broken(index, [&] {
    Pair pair = options_.captions == Captions::ignored ? source_->picture(index) : source_->read(index);
    check(options_.captions != Captions::required || !pair.caption.empty(), ErrorKind::input,
          "{}: the picture has no caption", pair.key);
    Image image = decode_image(pair.encoded, pair.key);
    return Sample{std::move(pair.key), std::move(pair.caption), std::move(image)};
  });
}

std::optional<std::string> PairReader::read_caption(uint64_t position) {
  const uint64_t index = order_.index(position);
  return unless_broken(index, [&] { return source_->caption(index); });
}

Sample PairReader::next() {
  while (true) {
    if (std::optional<Sample> sample = read(position_++)) return std::move(*sample);
  }
}

uint64_t PairReader::bad_count() const {
  const std::lock_guard lock(mutex_);
  return bad_.size();
}

void PairReader::count_bad(uint64_t index, const std::string& why) {
  const std::lock_guard lock(mutex_);
  const bool is_new = bad_.insert(index).second;
  if (is_new && options_.on_bad) options_.on_bad(why);
  check(bad_.size() <= allowed_bad_, ErrorKind::input,
        "data: {} of {} samples are broken, more than the {} allowed; the last is {}", bad_.size(),
        source_->size(), allowed_bad_, why);
  check(bad_.size() < source_->size(), ErrorKind::input, "data: every sample is broken; the last is {}", why);
}

}  // namespace dalle1
