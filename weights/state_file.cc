#include "weights/state_file.h"

#include <algorithm>

#include "core/io/file_kind.h"
#include "weights/safetensors.h"
#include "weights/small_json.h"
#include "weights/torch_file.h"

namespace dalle1::weights {
namespace {

StateFile from_safetensors(const std::string& name, SafetensorsFile file) {
  StateFile state;
  state.name = name;
  state.container = "safetensors";
  state.metadata = std::move(file.metadata);
  state.tensors = std::move(file.tensors);
  return state;
}

/// The first byte of the header that is not JSON white space.
char first_of_header(const FileBytes& file) {
  if (file.size() < 10) return 0;
  auto header = text_of(file.bytes.subspan(8, std::min<size_t>(file.size() - 8, 64)));
  size_t at = header.find_first_not_of(" \t\r\n");
  return at == header.npos ? 0 : header[at];
}

}  // namespace

bool StateFile::has(std::string_view tensor) const {
  return std::any_of(tensors.begin(), tensors.end(), [&](const RawTensor& t) { return t.name == tensor; });
}

StateFile read_state_file(const FileBytes& file) {
  auto head = text_of(file.bytes.subspan(0, std::min<size_t>(file.size(), 16)));
  if (head.starts_with("PK")) return read_torch_zip(file);
  if (head.starts_with(torch_legacy_magic)) return read_torch_legacy(file);
  if (first_of_header(file) == '{') return from_safetensors(file.name, read_safetensors(file));
  std::string shown = but_it_is(text_of(file.bytes));
  if (shown.empty()) {
    shown = fmt::format(": {} bytes that begin with", file.size());
    for (unsigned char c : head.substr(0, 8)) shown += fmt::format(" {:02x}", c);
  }
  fail(ErrorKind::model, "{}: neither safetensors nor a PyTorch file{}", file.name, shown);
}

StateFile read_state_file(const std::filesystem::path& path) {
  FileBytes file = map_file(path);
  auto head = text_of(file.bytes.subspan(0, std::min<size_t>(file.size(), 64)));
  size_t at = head.find_first_not_of(" \t\r\n");
  if (at != head.npos && head[at] == '{' && first_of_header(file) != '{')
    return from_safetensors(file.name, read_safetensors_index(path));
  return read_state_file(file);
}

}  // namespace dalle1::weights
