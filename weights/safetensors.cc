#include "weights/safetensors.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <unordered_set>

#include "weights/small_json.h"

namespace dalle1::weights {
namespace {

// A header that stays below these can make its reader hold only a few times its own size.
constexpr size_t highest_rank = 8;
constexpr size_t most_tensors = 100'000;
constexpr size_t most_metadata = 10'000;
constexpr size_t longest_token = 1 << 20;

struct DTypeCode {
  std::string_view code;
  DType dtype;
};
constexpr DTypeCode dtype_codes[] = {{"F32", DType::f32},     {"F16", DType::f16}, {"BF16", DType::bf16},
                                     {"F64", DType::f64},     {"I8", DType::i8},   {"U8", DType::u8},
                                     {"I16", DType::i16},     {"I32", DType::i32}, {"I64", DType::i64},
                                     {"BOOL", DType::boolean}};

struct Entry {
  RawTensor tensor;
  uint64_t begin = 0, end = 0;
};

/// Walks the header and remembers how far the parser has come, so that a refusal can name the byte.
class HeaderIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  HeaderIterator(const char* at, const char** reached) : at_(at), reached_(reached) {}
  reference operator*() const { return *at_; }
  HeaderIterator& operator++() {
    *reached_ = at_++;
    return *this;
  }
  bool operator==(const HeaderIterator& other) const { return at_ == other.at_; }
  bool operator!=(const HeaderIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  const char** reached_;
};

/// Receives the header's JSON as events: nothing outside the format's schema is ever stored, so that a
/// hostile header cannot make more of its bytes than they are. Every handler returns true or throws.
class HeaderEvents : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderEvents(const FileBytes& file, SafetensorsFile& result, std::vector<Entry>& entries)
      : file_(file), result_(result), entries_(entries) {}

  const char** reached() { return &reached_; }

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a truth value"); }
  bool binary(binary_t&) override { return unexpected("binary data"); }
  bool number_float(double, const std::string& text) override { return unexpected("number " + text); }
  bool number_integer(int64_t value) override { return unexpected("number " + std::to_string(value)); }

  bool number_unsigned(uint64_t value) override {
    if (field_ == "shape" && in_array_) {
      auto& shape = entries_.back().tensor.shape;
      require(shape.size() < highest_rank, "has more than 8 dimensions");
      require(value <= INT64_MAX, "has an extent that overflows");
      shape.push_back(static_cast<int64_t>(value));
    } else if (field_ == "data_offsets" && in_array_) {
      require(offsets_seen_ < 2, "has more than two data_offsets");
      (offsets_seen_++ == 0 ? entries_.back().begin : entries_.back().end) = value;
    } else {
      return unexpected("number " + std::to_string(value));
    }
    return true;
  }

  bool string(std::string& text) override {
    if (in_metadata_) {
      result_.metadata[field_] = std::move(text);
    } else if (depth_ == 2 && field_ == "dtype" && !in_array_) {
      auto found = std::find_if(std::begin(dtype_codes), std::end(dtype_codes),
                                [&](const DTypeCode& code) { return code.code == text; });
      require(found != std::end(dtype_codes), "has an element type that this program does not read");
      entries_.back().tensor.dtype = found->dtype;
    } else {
      return unexpected("a string");
    }
    return true;
  }

  bool start_object(size_t) override {
    if (in_array_ || in_metadata_ || depth_ >= 2) return unexpected("an object");
    if (++depth_ == 1) return true;
    if (name_ == "__metadata__") {
      require(!metadata_seen_, "is a duplicate key");
      in_metadata_ = metadata_seen_ = true;
    } else {
      require(entries_.size() < most_tensors, "is one too many: a file may have 100000");
      entries_.emplace_back().tensor.name = name_;
      seen_.clear();
      offsets_seen_ = 0;
    }
    return true;
  }

  bool end_object() override {
    if (depth_-- == 2 && !in_metadata_) {
      require(seen_.size() == 3 && offsets_seen_ == 2, "lacks one of dtype, shape and data_offsets");
      name_.clear();
    }
    in_metadata_ = false;
    return true;
  }

  bool key(std::string& text) override {
    if (depth_ == 1) {
      name_ = std::move(text);
      require(name_.size() <= longest_tensor_name, "has a name that is too long");
      return true;
    }
    field_ = std::move(text);
    if (in_metadata_) {
      require(!result_.metadata.contains(field_), "has a duplicate key");
      require(result_.metadata.size() < most_metadata, "has more than 10000 keys");
      return true;
    }
    require(field_ == "dtype" || field_ == "shape" || field_ == "data_offsets", "has an unknown field");
    require(seen_.insert(field_).second, "has a duplicate field");
    return true;
  }

  bool start_array(size_t) override {
    if (depth_ != 2 || in_metadata_ || in_array_ || field_ == "dtype") return unexpected("an array");
    return in_array_ = true;
  }

  bool end_array() override {
    in_array_ = false;
    return true;
  }

  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override {
    fail(ErrorKind::model, "{}: the header is not JSON at byte {}", file_.name, byte());
  }

 private:
  size_t byte() const { return reached_ ? static_cast<size_t>(reached_ - text_of(file_.bytes).data()) : 8; }
  void require(bool condition, std::string_view complaint) {
    check(condition, ErrorKind::model, "{}: '{}' {} (byte {})", file_.name, printable(name_), complaint,
          byte());
  }
  bool unexpected(const std::string& what) {
    fail(ErrorKind::model, "{}: {} at byte {}, where the header of safetensors has none", file_.name,
         printable(what), byte());
  }

  const FileBytes& file_;
  SafetensorsFile& result_;
  std::vector<Entry>& entries_;
  const char* reached_ = nullptr;
  int depth_ = 0;
  bool in_metadata_ = false, metadata_seen_ = false, in_array_ = false;
  int offsets_seen_ = 0;
  std::string name_, field_;
  std::set<std::string> seen_;
};

/// The JSON parser keeps a whole token in memory, several times over: refuse long ones before it sees them.
void check_token_lengths(const FileBytes& file, std::string_view header) {
  bool in_string = false;
  size_t token_start = 0;
  for (size_t i = 0; i < header.size(); ++i) {
    char c = header[i];
    bool ends = in_string ? c == '"' : std::string_view("\"{}[],: \t\r\n").find(c) != std::string_view::npos;
    check(i - token_start <= longest_token, ErrorKind::model,
          "{}: the text at byte {} of the header is too long", file.name, 8 + token_start);
    if (in_string && c == '\\') ++i;
    if (!ends) continue;
    in_string = !in_string && c == '"';
    token_start = i;
  }
}

void check_names(const std::string& file, const std::vector<Entry>& entries) {
  std::vector<std::string_view> names;
  names.reserve(entries.size());
  for (const Entry& entry : entries) names.push_back(entry.tensor.name);
  std::sort(names.begin(), names.end());
  auto twice = std::adjacent_find(names.begin(), names.end());
  check(twice == names.end(), ErrorKind::model, "{}: duplicate key '{}'", file,
        twice == names.end() ? "" : printable(*twice));
}

/// Sorts by position and requires that the tensors fill the data exactly.
void place(const FileBytes& file, uint64_t data_start, std::vector<Entry>& entries) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  uint64_t position = 0;
  const uint64_t data_size = file.size() - data_start;
  for (Entry& entry : entries) {
    RawTensor& tensor = entry.tensor;
    const std::string name = printable(tensor.name);
    check(entry.begin <= entry.end && entry.end <= data_size, ErrorKind::model,
          "{}: tensor '{}' lies at bytes {} to {} of {} bytes of data (data starts at byte {})", file.name,
          name, entry.begin, entry.end, data_size, data_start);
    check(entry.begin == position, ErrorKind::model, "{}: {} before tensor '{}' at byte {}", file.name,
          entry.begin > position ? "a hole" : "an overlap", name,
          data_start + std::min(entry.begin, position));
    int64_t numel = checked_numel(tensor.shape), size = 0;
    bool fits =
        numel >= 0 && !__builtin_mul_overflow(numel, static_cast<int64_t>(size_of(tensor.dtype)), &size);
    check(fits, ErrorKind::model, "{}: the size of tensor '{}' {} overflows", file.name, name,
          shape_text(tensor.shape));
    check(static_cast<uint64_t>(size) == entry.end - entry.begin, ErrorKind::model,
          "{}: tensor '{}' at byte {} is {} {}, {} bytes, but its data_offsets span {}", file.name, name,
          data_start + entry.begin, name_of(tensor.dtype), shape_text(tensor.shape), size,
          entry.end - entry.begin);
    tensor.bytes = file.bytes.subspan(data_start + entry.begin, size);
    tensor.keep_alive = file.owner;
    position = entry.end;
  }
  check(position == data_size, ErrorKind::model, "{}: {} bytes that belong to no tensor from byte {} on",
        file.name, data_size - position, data_start + position);
}

std::string_view code_of(DType dtype) {
  for (const DTypeCode& code : dtype_codes)
    if (code.dtype == dtype) return code.code;
  fail(ErrorKind::internal, "safetensors has no code for {}", name_of(dtype));
}

std::string header_for(const std::vector<TensorSpec>& specs,
                       const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t position = 0;
  for (const TensorSpec& spec : specs) {
    int64_t numel = checked_numel(spec.shape);
    check(numel >= 0 && !spec.name.empty() && spec.name != "__metadata__", ErrorKind::internal,
          "cannot write tensor '{}' {}", spec.name, shape_text(spec.shape));
    uint64_t end = position + static_cast<uint64_t>(numel) * size_of(spec.dtype);
    check(header
              .emplace(spec.name, nlohmann::ordered_json{{"dtype", code_of(spec.dtype)},
                                                         {"shape", spec.shape},
                                                         {"data_offsets", {position, end}}})
              .second,
          ErrorKind::internal, "two tensors are called '{}'", spec.name);
    position = end;
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  check(text.size() <= largest_safetensors_header, ErrorKind::output,
        "a header of {} bytes; safetensors allows {}", text.size(), largest_safetensors_header);
  return text;
}

std::vector<TensorSpec> widest_first(std::vector<TensorSpec> specs) {
  std::stable_sort(specs.begin(), specs.end(), [](const TensorSpec& a, const TensorSpec& b) {
    return size_of(a.dtype) > size_of(b.dtype);
  });
  return specs;
}

}  // namespace

SafetensorsFile read_safetensors(const FileBytes& file) {
  auto header_size = file.integer<uint64_t>(0, "the header length of safetensors");
  check(header_size <= largest_safetensors_header, ErrorKind::model,
        "{}: the header length at byte 0 is {}; safetensors allows {}", file.name, header_size,
        largest_safetensors_header);
  std::string_view header = text_of(file.at(8, header_size, "the safetensors header"));
  check_token_lengths(file, header);
  SafetensorsFile result;
  std::vector<Entry> entries;
  HeaderEvents events(file, result, entries);
  nlohmann::json::sax_parse(HeaderIterator(header.data(), events.reached()),
                            HeaderIterator(header.data() + header.size(), events.reached()), &events);
  check_names(file.name, entries);
  place(file, 8 + header_size, entries);
  result.tensors.reserve(entries.size());
  for (Entry& entry : entries) result.tensors.push_back(std::move(entry.tensor));
  return result;
}

SafetensorsFile read_safetensors_index(const std::filesystem::path& index) {
  const std::string name = index.string();
  nlohmann::json json = parse_small_json(name, read_text_file(index, largest_small_json));
  check(json.is_object() && json.contains("weight_map") && json["weight_map"].is_object(), ErrorKind::model,
        "{}: an index of safetensors files has a \"weight_map\" object", name);
  std::map<std::string, std::vector<std::string>> shards;
  for (auto& [tensor, shard] : json["weight_map"].items()) {
    check(shard.is_string() && is_plain_file_name(shard.get<std::string>()), ErrorKind::model,
          "{}: the shard of '{}' is not a plain file name", name, printable(tensor));
    shards[shard.get<std::string>()].push_back(tensor);
  }
  SafetensorsFile result;
  for (auto& [shard, expected] : shards) {
    SafetensorsFile part = read_safetensors(map_file(index.parent_path() / shard));
    std::unordered_set<std::string_view> wanted(expected.begin(), expected.end());
    for (RawTensor& tensor : part.tensors)
      check(wanted.erase(tensor.name) == 1, ErrorKind::model,
            "{}: '{}' is in {} but the index does not say so", name, printable(tensor.name), shard);
    check(wanted.empty(), ErrorKind::model, "{}: '{}' is not in {}", name,
          wanted.empty() ? "" : printable(*wanted.begin()), shard);
    std::move(part.tensors.begin(), part.tensors.end(), std::back_inserter(result.tensors));
    result.metadata.merge(part.metadata);
  }
  return result;
}

SafetensorsWriter::SafetensorsWriter(std::filesystem::path path, std::vector<TensorSpec> specs,
                                     const std::map<std::string, std::string>& metadata)
    : specs_(widest_first(std::move(specs))), file_(std::move(path)) {
  std::string header = header_for(specs_, metadata);
  uint64_t size = header.size();
  file_.write(&size, sizeof(size));
  file_.write(header);
}

void SafetensorsWriter::append(std::span<const std::byte> bytes) {
  check(next_ < specs_.size(), ErrorKind::internal, "{}: more tensors than declared", file_.path().string());
  const TensorSpec& spec = specs_[next_++];
  size_t expected = static_cast<size_t>(checked_numel(spec.shape)) * size_of(spec.dtype);
  check(bytes.size() == expected, ErrorKind::internal, "{}: tensor '{}' needs {} bytes, not {}",
        file_.path().string(), spec.name, expected, bytes.size());
  file_.write(bytes);
}

uint64_t SafetensorsWriter::commit() {
  check(next_ == specs_.size(), ErrorKind::internal, "{}: {} of {} tensors written", file_.path().string(),
        next_, specs_.size());
  file_.commit();
  return file_.size();
}

}  // namespace dalle1::weights
