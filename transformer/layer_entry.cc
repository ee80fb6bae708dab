#include "transformer/layer_entry.h"

#include <charconv>
#include <map>
#include <mutex>
#include <vector>

#include "core/data/npy.h"
#include "core/image/png.h"
#include "core/random/philox.h"

namespace dalle1::transformer {
namespace fs = std::filesystem;
namespace {

using Table = std::shared_ptr<const PatternBits>;

// "random:7:conv:5" at the first colon: "random" and "7:conv:5".
std::pair<std::string, std::string> split(const std::string& text) {
  const size_t colon = text.find(':');
  if (colon == std::string::npos) return {text, ""};
  return {text.substr(0, colon), text.substr(colon + 1)};
}

template <typename Number>
Number number_in(const std::string& text, const std::string& entry, const char* what) {
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  check(error == std::errc() && end == text.data() + text.size(), ErrorKind::model,
        "attention pattern '{}': '{}' is no {}", entry, text, what);
  return value;
}

AttentionPattern plain_pattern(const std::string& entry, const EntryPlace& place, int32_t text_slots) {
  const auto [kind, rest] = split(entry);
  AttentionPattern pattern;
  pattern.text = text_slots;
  pattern.grid = place.grid;
  if (entry == "row") {
    pattern.kind = PatternKind::row;
  } else if (entry == "axial_row") {
    pattern.kind = PatternKind::axial_row;
  } else if (entry == "column") {
    pattern.kind = PatternKind::column;
  } else if (kind == "conv") {
    const auto [kernel, wrap] = split(rest);
    pattern.kind = PatternKind::conv;
    pattern.kernel = kernel.empty() ? place.kernel : number_in<int32_t>(kernel, entry, "window size");
    check(pattern.kernel % 2 == 1 && pattern.kernel > 0 && pattern.kernel <= 255, ErrorKind::model,
          "attention pattern '{}': the window must be odd and at most 255", entry);
    pattern.wrap = wrap_from_name(wrap.empty() ? place.wrap : wrap);
  } else {
    check(entry == "dense", ErrorKind::model,
          "attention pattern '{}' is not known; give row, axial_row, column, dense, conv[:KERNEL[:WRAP]], "
          "table:FILE or "
          "random:SEED:PATTERN",
          entry);
  }
  return pattern;
}

// Sets what a query sees of the text and of itself; returns how many earlier cells it sees.
int32_t keep_text_and_self(const AttentionPattern& like, int32_t query, uint8_t* row) {
  int32_t earlier = 0;
  for (const KeyRange& range : key_ranges(like, query)) {
    for (int32_t key = range.begin; key < range.end; ++key) {
      const bool kept = key < like.text || key == query;
      row[key] = kept;
      earlier += !kept;
    }
  }
  return earlier;
}

// As many ones per query as `like` has; text rows are causal in every pattern.
Table draw_control(const AttentionPattern& like, uint64_t seed) {
  const int32_t length = like.length();
  auto table = std::make_shared<PatternBits>();
  table->length = length;
  table->bits.resize(static_cast<size_t>(length) * length);
  std::vector<int32_t> earlier;
  for (int32_t query = 0; query < length; ++query) {
    uint8_t* row = table->bits.data() + static_cast<size_t>(query) * length;
    const int32_t wanted = keep_text_and_self(like, query, row);
    const int32_t cell = query - like.text;
    if (cell < 0) continue;  // nothing to draw
    RandomStream draws(seed, Stream::control_mask, 0, static_cast<uint32_t>(cell));
    earlier.clear();
    for (int32_t key = 0; key < cell; ++key) earlier.push_back(key);
    for (int32_t drawn = 0; drawn < wanted; ++drawn) {  // the front of a Fisher-Yates shuffle
      std::swap(earlier[drawn], earlier[drawn + draws.below(static_cast<uint32_t>(cell - drawn))]);
      row[like.text + earlier[drawn]] = 1;
    }
  }
  return table;
}

Table without_text(const Table& whole, int32_t text_length, int32_t text_slots) {
  const int32_t dropped = text_length - text_slots;
  if (dropped == 0) return whole;
  auto table = std::make_shared<PatternBits>();
  table->length = whole->length - dropped;
  const auto source = [&](int32_t position) { return position < text_slots ? position : position + dropped; };
  for (int32_t query = 0; query < table->length; ++query) {
    const uint8_t* row = whole->bits.data() + static_cast<size_t>(source(query)) * whole->length;
    for (int32_t key = 0; key < table->length; ++key) table->bits.push_back(row[source(key)]);
  }
  return table;
}

// One object per table in a process: plans of attention are looked up by it.
class TableStore {
 public:
  template <typename Make>
  Table get(const std::string& key, const Make& make) {
    const std::lock_guard lock(mutex_);
    Table& table = tables_[key];
    if (!table) table = make();
    return table;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, Table> tables_;
};

TableStore& table_store() {
  static TableStore store;
  return store;
}

// What, beside the entry, decides a table: where it stands, and a file's time of change.
std::string key_of(const std::string& entry, const EntryPlace& place, int32_t text_slots,
                   const fs::path& file) {
  std::error_code error;
  const auto changed = file.empty() ? 0 : fs::last_write_time(file, error).time_since_epoch().count();
  return fmt::format("{} {} {} {} {} {} {}", entry, place.text_length, place.grid, place.kernel, place.wrap,
                     text_slots, changed);
}

AttentionPattern table_pattern(const std::string& file, const EntryPlace& place, int32_t text_slots) {
  AttentionPattern pattern;
  pattern.kind = PatternKind::arbitrary;
  pattern.text = text_slots;
  pattern.grid = place.grid;
  pattern.table = table_store().get(key_of("table:" + file, place, text_slots, file), [&] {
    const Table whole = read_pattern_table(file);
    const int32_t length = place.text_length + place.grid * place.grid;
    check(whole->length == length, ErrorKind::input, "{}: the table is {}x{}, the sequence has {} positions",
          file, whole->length, whole->length, length);
    return without_text(whole, place.text_length, text_slots);
  });
  return pattern;
}

AttentionPattern random_pattern(const std::string& entry, const std::string& rest, const EntryPlace& place,
                                int32_t text_slots) {
  const auto [seed_text, like_entry] = split(rest);
  const auto seed = number_in<uint64_t>(seed_text, entry, "seed");
  AttentionPattern pattern = plain_pattern(like_entry, place, text_slots);
  pattern.table =
      table_store().get(key_of(entry, place, text_slots, {}), [&] { return draw_control(pattern, seed); });
  pattern.kind = PatternKind::arbitrary;
  return pattern;
}

}  // namespace

ConvWrap wrap_from_name(const std::string& name) {
  if (name == "none") return ConvWrap::none;
  if (name == "raster") return ConvWrap::raster;
  if (name == "corner") return ConvWrap::corner;
  check(name == "rudalle-v2", ErrorKind::model,
        "wrap '{}' is not known; give none, raster, corner or rudalle-v2", name);
  return ConvWrap::rudalle_v2;
}

AttentionPattern pattern_of_entry(const std::string& entry, const EntryPlace& place, int32_t text_slots) {
  const auto [kind, rest] = split(entry);
  if (kind == "table" && !rest.empty()) return table_pattern(rest, place, text_slots);
  if (kind == "random" && !rest.empty()) return random_pattern(entry, rest, place, text_slots);
  return plain_pattern(entry, place, text_slots);
}

void validate_entry(const std::string& entry, const EntryPlace& place) {
  try {
    dalle1::validate(pattern_of_entry(entry, place, place.text_length));
  } catch (const Error& error) {
    fail(error.kind(), "schedule.list entry '{}': {}", entry, error);
  }
}

std::shared_ptr<const PatternBits> read_pattern_table(const fs::path& path) {
  auto table = std::make_shared<PatternBits>();
  if (path.extension() == ".npy") {
    const NpyArray array = read_npy(path);
    check(array.shape.size() == 2 && array.shape[0] == array.shape[1], ErrorKind::input,
          "{}: a pattern must be square", path.string());
    table->length = static_cast<int32_t>(array.shape[0]);
    for (int64_t bit : array.to_i64()) table->bits.push_back(bit != 0);
    return table;
  }
  const Image image = to_rgb(read_image(path));
  check(image.width == image.height, ErrorKind::input, "{}: a pattern must be square, not {}x{}",
        path.string(), image.width, image.height);
  table->length = image.width;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) table->bits.push_back(image.at(x, y)[0] >= 128);
  }
  return table;
}

}  // namespace dalle1::transformer
