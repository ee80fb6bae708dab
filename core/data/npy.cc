#include "core/data/npy.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <optional>
#include <string>

#include "core/io/atomic_file.h"
#include "core/io/file_bytes.h"
#include "core/io/file_kind.h"

namespace dalle1 {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kMaxHeader = 1 << 16, kMaxRank = 32;
constexpr uint64_t kMaxFileBytes = uint64_t{64} << 30;

struct Description {
  DType dtype;
  std::string_view text;
};

constexpr std::array kDescriptions = {
    Description{DType::f32, "<f4"}, Description{DType::f64, "<f8"}, Description{DType::f16, "<f2"},
    Description{DType::i64, "<i8"}, Description{DType::i32, "<i4"}, Description{DType::i16, "<i2"},
    Description{DType::i8, "|i1"},  Description{DType::u8, "|u1"},  Description{DType::boolean, "|b1"}};

/// Reads the Python dictionary of a header: three known keys in any order.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, std::string_view file) : text_(text), file_(file) {}

  NpyArray parse() {
    NpyArray array;
    bool has_dtype = false, has_order = false, has_shape = false, fortran = false;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr" && !has_dtype) {
        has_dtype = true;
        array.dtype = dtype_of(quoted());
      } else if (key == "fortran_order" && !has_order) {
        has_order = true;
        fortran = boolean();
      } else if (key == "shape" && !has_shape) {
        has_shape = true;
        array.shape = shape();
      } else {
        damaged();
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_spaces();
    if (!has_dtype || !has_order || !has_shape || position_ != text_.size()) damaged();
    check(!fortran || array.shape.size() < 2, ErrorKind::input,
          "{}: the array is in Fortran order; save it with numpy.ascontiguousarray", file_);
    return array;
  }

 private:
  [[noreturn]] void damaged() const {
    fail(ErrorKind::input, "{}: damaged .npy header at its character {}", file_, position_);
  }
  void skip_spaces() {
    while (position_ < text_.size() && (text_[position_] == ' ' || text_[position_] == '\n')) ++position_;
  }
  bool accept(char c) {
    skip_spaces();
    if (position_ == text_.size() || text_[position_] != c) return false;
    ++position_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) damaged();
  }
  std::string_view quoted() {
    skip_spaces();
    const char quote = position_ < text_.size() ? text_[position_] : '\0';
    if (quote != '\'' && quote != '"') damaged();
    const size_t end = text_.find(quote, position_ + 1);
    if (end == std::string_view::npos) damaged();
    const std::string_view inside = text_.substr(position_ + 1, end - position_ - 1);
    position_ = end + 1;
    return inside;
  }
  bool boolean() {
    skip_spaces();
    for (std::string_view word : {"True", "False"}) {
      if (!text_.substr(position_).starts_with(word)) continue;
      position_ += word.size();
      return word == "True";
    }
    damaged();
  }
  std::vector<int64_t> shape() {
    std::vector<int64_t> sizes;
    expect('(');
    while (!accept(')')) {
      skip_spaces();
      int64_t size = -1;
      const auto [end, error] = std::from_chars(text_.data() + position_, text_.data() + text_.size(), size);
      if (error != std::errc() || size < 0 || sizes.size() == kMaxRank) damaged();
      position_ = static_cast<size_t>(end - text_.data());
      sizes.push_back(size);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return sizes;
  }
  DType dtype_of(std::string_view text) const {
    for (const Description& known : kDescriptions) {
      if (known.text == text) return known.dtype;
    }
    fail(ErrorKind::input,
         "{}: elements of type '{}' are not supported; use float32, float16, int64, int32, uint8 or bool",
         file_, text);
  }

  std::string_view text_, file_;
  size_t position_ = 0;
};

/// Number of elements, or nothing when their bytes cannot be counted in 62 bits.
std::optional<uint64_t> count_elements(std::span<const int64_t> shape) {
  uint64_t count = 1;
  for (int64_t size : shape) {
    if (size == 0) return 0;
    if (count > (uint64_t{1} << 58) / static_cast<uint64_t>(size)) return std::nullopt;
    count *= static_cast<uint64_t>(size);
  }
  return count;
}

}  // namespace

NpyArray decode_npy(std::span<const uint8_t> bytes, std::string_view name) {
  const bool magic = bytes.size() >= 10 && std::memcmp(bytes.data(), kMagic.data(), kMagic.size()) == 0;
  check(magic && bytes[6] >= 1 && bytes[6] <= 3, ErrorKind::input, "{}: not a .npy file of version 1 to 3{}",
        name, magic ? "" : but_it_is(bytes));
  const size_t prefix = bytes[6] == 1 ? 10 : 12;
  check(bytes.size() >= prefix, ErrorKind::input, "{}: truncated at byte {}", name, bytes.size());
  size_t length = bytes[8] | bytes[9] << 8;
  if (bytes[6] > 1) length |= static_cast<size_t>(bytes[10]) << 16 | static_cast<size_t>(bytes[11]) << 24;
  check(length <= std::min(kMaxHeader, bytes.size() - prefix), ErrorKind::input,
        "{}: a header of {} bytes in a file of {}", name, length, bytes.size());
  const std::string_view header(reinterpret_cast<const char*>(bytes.data()) + prefix, length);
  NpyArray array = HeaderParser(header, name).parse();

  const auto count = count_elements(array.shape);
  const std::span<const uint8_t> elements = bytes.subspan(prefix + length);
  check(count && elements.size() == *count * size_of(array.dtype), ErrorKind::input,
        "{}: {} bytes of data after byte {}, the header says {} elements of {} bytes", name, elements.size(),
        prefix + length, count ? std::to_string(*count) : "too many", size_of(array.dtype));
  check(array.dtype != DType::boolean || std::ranges::all_of(elements, [](uint8_t byte) { return byte < 2; }),
        ErrorKind::input, "{}: a truth value that is neither 0 nor 1", name);
  array.bytes.assign(elements.begin(), elements.end());
  return array;
}

NpyArray read_npy(const std::filesystem::path& path) {
  return decode_npy(read_file(path, kMaxFileBytes), path.string());
}

std::vector<uint8_t> npy_header(DType dtype, std::span<const int64_t> shape) {
  const auto description = std::find_if(kDescriptions.begin(), kDescriptions.end(),
                                        [dtype](const Description& known) { return known.dtype == dtype; });
  check(description != kDescriptions.end(), ErrorKind::internal, "npy: {} has no place in .npy files",
        name_of(dtype));
  std::string sizes;
  for (int64_t size : shape) sizes += (sizes.empty() ? "" : ", ") + std::to_string(size);
  if (shape.size() == 1) sizes += ",";
  std::string text =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", description->text, sizes);
  text.resize((text.size() + 10 + 1 + 63) / 64 * 64 - 10 - 1, ' ');
  text += '\n';
  const std::string version_and_length = {1, 0, static_cast<char>(text.size()),
                                          static_cast<char>(text.size() >> 8)};
  const std::string header = std::string(kMagic) + version_and_length + text;
  return {header.begin(), header.end()};
}

void write_npy(const std::filesystem::path& path, DType dtype, std::span<const int64_t> shape,
               std::span<const std::byte> elements) {
  const auto count = count_elements(shape);
  check(count && elements.size() == *count * size_of(dtype), ErrorKind::internal,
        "npy: {} bytes for {} do not fit the shape", elements.size(), path.string());
  AtomicFile file(path);
  const std::vector<uint8_t> header = npy_header(dtype, shape);
  file.write(header.data(), header.size());
  file.write(elements);
  file.commit();
}

std::vector<float> NpyArray::to_f32() const {
  std::vector<float> out(static_cast<size_t>(count()));
  if (dtype == DType::f16) {
    std::ranges::transform(values<uint16_t>(), out.begin(), f16_to_f32);
  } else if (dtype == DType::f64) {
    std::ranges::transform(values<double>(), out.begin(),
                           [](double value) { return static_cast<float>(value); });
  } else {
    std::ranges::copy(values<float>(), out.begin());
  }
  return out;
}

std::vector<int64_t> NpyArray::to_i64() const {
  const auto widen = [](auto values) { return std::vector<int64_t>(values.begin(), values.end()); };
  switch (dtype) {
    case DType::i32:
      return widen(values<int32_t>());
    case DType::i16:
      return widen(values<int16_t>());
    case DType::i8:
      return widen(values<int8_t>());
    case DType::u8:
      return widen(values<uint8_t>());
    case DType::boolean:
      return widen(values<bool>());
    default:
      return widen(values<int64_t>());
  }
}

}  // namespace dalle1
