#include "core/train/checkpoint_store.h"

#include <algorithm>
#include <charconv>

namespace dalle1 {
namespace {

constexpr std::string_view kPrefix = "checkpoint-", kSuffix = ".safetensors";

std::optional<int64_t> step_of(const std::string& name) {
  if (name.size() <= kPrefix.size() + kSuffix.size() || !name.starts_with(kPrefix) ||
      !name.ends_with(kSuffix))
    return {};
  int64_t step = 0;
  const char *begin = name.data() + kPrefix.size(), *end = name.data() + name.size() - kSuffix.size();
  const auto [stop, error] = std::from_chars(begin, end, step);
  if (error != std::errc() || stop != end) return {};
  return step;
}

}  // namespace

CheckpointStore::CheckpointStore(std::filesystem::path folder, const StateFormat& format)
    : folder_(std::move(folder)), format_(format) {
  std::error_code error;
  std::filesystem::create_directories(folder_, error);
  check(!error, ErrorKind::output, "{}: cannot make the folder: {}", folder_.string(), error.message());
}

std::vector<std::pair<int64_t, std::filesystem::path>> CheckpointStore::list() const {
  std::vector<std::pair<int64_t, std::filesystem::path>> found;
  for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
    if (auto step = step_of(entry.path().filename().string())) found.emplace_back(*step, entry.path());
  }
  std::sort(found.rbegin(), found.rend());
  return found;
}

void CheckpointStore::save(int64_t step, const nlohmann::json& state, const NamedTensors& tensors) {
  format_.write(folder_ / fmt::format("{}{:08}{}", kPrefix, step, kSuffix), state, tensors);
  const auto all = list();
  for (size_t i = 2; i < all.size(); ++i) std::filesystem::remove(all[i].second);
}

std::optional<std::filesystem::path> CheckpointStore::latest() const {
  for (const auto& [step, path] : list()) {
    try {
      format_.read_state(path);
      return path;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::model && error.kind() != ErrorKind::input) throw;
    }
  }
  return std::nullopt;
}

nlohmann::json CheckpointStore::load(const std::filesystem::path& path, const NamedTensors& tensors) const {
  return format_.read(path, tensors);
}

}  // namespace dalle1
