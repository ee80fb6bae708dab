#include "transformer/caption_mix.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/data/caption_text.h"
#include "core/error.h"
#include "core/random/philox.h"

namespace dalle1::transformer {
namespace {

// Nothing where it is damaged: TokenSamples deals with it.
std::optional<TokenRecord> record_if_whole(const TokenShards& shards, uint64_t index) {
  try {
    return shards.read(index);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::input) throw;
    return std::nullopt;
  }
}

// Empty where it is blank.
std::string caption_of_row(const nlohmann::json& row, const std::string& where) {
  const auto captions = captions_of(row, where);
  check(captions.has_value() && captions->size() <= 1, ErrorKind::input, "{}: no \"caption\" with one text",
        where);
  return captions->empty() ? std::string() : captions->front();
}

}  // namespace

CaptionMix::CaptionMix(const std::filesystem::path& file, const TokenShards& shards, double share)
    : name_(file.string()), file_(file), share_(share) {
  while (const auto line = file_.next()) lines_.push_back({*line, file_.number()});
  for (uint64_t i = 0; i < shards.size(); ++i)
    if (const auto record = record_if_whole(shards, i))
      views_ = std::max<uint64_t>(views_, uint64_t{record->kind} + 1);
  check(lines_.size() * views_ == shards.size(), ErrorKind::input,
        "{} has {} captions, and the shards have {} pictures: it must have been made of the same data", name_,
        lines_.size(), shards.size() / views_);
  check_originals(shards);
}

std::string CaptionMix::where(const Line& line) const {
  return fmt::format("{}, line {}", name_, line.number);
}

void CaptionMix::check_originals(const TokenShards& shards) const {
  for (uint64_t i = 0; i < lines_.size(); ++i) {
    const auto row = parse_json_object(lines_[i].text, where(lines_[i]));
    caption_of_row(row, where(lines_[i]));
    const auto record = record_if_whole(shards, i * views_);
    if (!record || !row.contains("original")) continue;
    check(row["original"] == record->caption, ErrorKind::input,
          "{}: a caption in the place of {}, where the shards have '{}': it must have been made of the same "
          "data",
          where(lines_[i]), row["original"].dump(), record->caption);
  }
}

bool CaptionMix::takes_synthetic(uint64_t seed, uint64_t position) const {
  RandomStream draw(seed, Stream::caption_mix, static_cast<uint32_t>(position),
                    static_cast<uint32_t>(position >> 32));
  return draw.uniform() <= share_;
}

std::string CaptionMix::caption(uint64_t record) const {
  const Line& line = lines_.at(record / views_);
  return caption_of_row(parse_json_object(line.text, where(line)), where(line));
}

}  // namespace dalle1::transformer
