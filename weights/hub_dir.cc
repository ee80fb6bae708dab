#include "weights/hub_dir.h"

#include "core/error.h"
#include "core/text/hf_clip_tokenizer.h"
#include "weights/file_bytes.h"
#include "weights/hf_clip_config.h"
#include "weights/open.h"
#include "weights/small_json.h"

namespace dalle1::weights {
namespace fs = std::filesystem;
namespace {

bool is_file(const fs::path& path) {
  std::error_code unreadable;  // the same as absent: opening the folder says what is missing
  return fs::is_regular_file(path, unreadable);
}

/// The files of these names that are there.
std::vector<fs::path> present(const fs::path& folder, const std::vector<const char*>& names) {
  std::vector<fs::path> found;
  for (const char* name : names)
    if (is_file(folder / name)) found.push_back(folder / name);
  return found;
}

}  // namespace

std::optional<HubDir> find_hub_dir(const fs::path& folder) {
  HubDir hub;
  const auto open_clip = present(folder, {"open_clip_model.safetensors", "open_clip_pytorch_model.bin"});
  if (!open_clip.empty()) {
    hub.weights = open_clip.front();
    hub.configs = present(folder, {"open_clip_config.json"});
    return hub;
  }
  const auto weights =
      present(folder, {"model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"});
  if (weights.empty()) return {};
  hub.weights = weights.front();
  hub.configs = present(folder, {"config.json", "preprocessor_config.json"});
  hub.tokenizer = present(folder, {"tokenizer.json"});
  if (hub.tokenizer.empty()) hub.tokenizer = present(folder, {"vocab.json", "merges.txt"});
  check(hub.tokenizer.size() != 1 || hub.tokenizer[0].filename() == "tokenizer.json", ErrorKind::model,
        "{} is one half of a tokenizer: vocab.json and merges.txt belong together",
        hub.tokenizer.empty() ? "" : hub.tokenizer[0].string());
  return hub;
}

std::vector<fs::path> files_of(const HubDir& hub) {
  std::vector<fs::path> files{hub.weights};
  files.insert(files.end(), hub.configs.begin(), hub.configs.end());
  files.insert(files.end(), hub.tokenizer.begin(), hub.tokenizer.end());
  return files;
}

nlohmann::json config_of(const HubDir& hub) {
  nlohmann::json config;
  for (const fs::path& file : hub.configs) {
    if (file.filename() != "preprocessor_config.json") {
      config = read_config(file.string());
    } else if (!config.is_null()) {
      const std::string name = file.string();
      add_hf_preprocessing(name, parse_small_json(name, read_text_file(file, largest_small_json)), config);
    }
  }
  return config;
}

std::string tokenizer_text(const HubDir& hub) {
  if (hub.tokenizer.size() == 2) return text::join_hf_clip_tokenizer(hub.tokenizer[0], hub.tokenizer[1]);
  check(hub.tokenizer.size() == 1, ErrorKind::internal, "{} has no tokenizer", hub.weights.string());
  constexpr uint64_t most = 16 << 20;
  return read_text_file(hub.tokenizer[0], most);
}

}  // namespace dalle1::weights
