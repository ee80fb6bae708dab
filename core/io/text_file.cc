#include "core/io/text_file.h"

#include "core/io/byte_order_mark.h"

namespace dalle1 {
namespace {

constexpr size_t kMostBytes = 64 << 20, kBlock = 1 << 16;

std::string read_at(const InputFile& file, uint64_t offset, size_t size) {
  std::string bytes(size, '\0');
  bytes.resize(file.read({reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()}, offset));
  return bytes;
}

}  // namespace

std::string read_text(const std::filesystem::path& path, ErrorKind kind) {
  const InputFile file(path, kind);
  check(file.size() <= kMostBytes, kind, "{}: {} bytes; such a file has at most {}", path.string(),
        file.size(), kMostBytes);
  return std::string(without_byte_order_mark(read_at(file, 0, file.size()), path.string(), kind));
}

TextLines::TextLines(const std::filesystem::path& path, uint64_t offset)
    : path_(path), file_(path), next_block_(offset) {
  refill();
  if (offset == 0) at_ = block_.size() - without_byte_order_mark(block_, path_.string()).size();
}

bool TextLines::refill() {
  block_ = read_at(file_, next_block_, kBlock);
  next_block_ += block_.size();
  at_ = 0;
  return !block_.empty();
}

bool TextLines::next(std::string& line) {
  line.clear();
  if (at_ == block_.size() && !refill()) return false;
  ++number_;
  do {
    const size_t end = block_.find('\n', at_);
    ended_ = end != std::string::npos;
    line.append(block_, at_, end - at_);
    if (line.size() > kMostBytes) fail(ErrorKind::input, "{}: more than {} bytes", where(), kMostBytes);
    at_ = ended_ ? end + 1 : block_.size();
  } while (!ended_ && refill());
  if (!line.empty() && line.back() == '\r') line.pop_back();
  if (line.find('\0') != std::string::npos)
    fail(ErrorKind::input, "{} has a NUL byte: the file is UTF-16 or no text; save it as UTF-8", where());
  return true;
}

std::string TextLines::where() const { return fmt::format("{} line {}", path_.string(), number_); }

bool is_blank(const std::string& line) { return line.find_first_not_of(" \t") == std::string::npos; }

}  // namespace dalle1
