#include "tools/models.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "tools/progress.h"
#include "weights/import.h"
#include "weights/model_dir.h"
#include "weights/open.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

const std::vector<std::string>& files_of(const CommonOptions& common, std::string_view part) {
  if (part == "dvae") return common.dvae;
  if (part == "transformer") return common.transformer;
  check(part == "clip", ErrorKind::internal, "a model has no part '{}'", part);
  return common.clip;
}

// What --PART or else --model names; empty when neither is there.
std::vector<fs::path> paths_of(const CommonOptions& common, std::string_view part) {
  const auto& files = files_of(common, part);
  if (!files.empty()) return {files.begin(), files.end()};
  if (const auto model = find_model_if_any(common)) return {find_model(common)};
  return {};
}

bool directory_lacks(const std::vector<fs::path>& paths, std::string_view part) {
  if (paths.size() != 1 || !weights::is_model_dir(paths[0])) return false;
  return weights::read_model_dir(paths[0]).parts.count(std::string(part)) == 0;
}

weights::TokenizerFile text_tokenizer_of_model(const CommonOptions& common) {
  const auto model = find_model(common);
  check(weights::is_model_dir(model), ErrorKind::model,
        "{} is not a model directory and has no tokenizer: give --tokenizer FILE", model.string());
  const auto directory = weights::read_model_dir(model);
  check(directory.tokenizer.has_value(), ErrorKind::model, "{} has no tokenizer: give --tokenizer FILE",
        model.string());
  return *directory.tokenizer;
}

std::unique_ptr<text::Tokenizer> open_kind(const weights::TokenizerFile& file) {
  auto tokenizer = text::open_tokenizer(file.path);
  check(tokenizer->kind() == file.kind, ErrorKind::model, "{}: model.json calls it {}, and it is {}",
        file.path.string(), file.kind, tokenizer->kind());
  return tokenizer;
}

// A configuration without a part is for those that it can describe: CLIP's have fields of their own.
bool describes_clip(const nlohmann::json& config) {
  return config.contains("vision_width") || config.contains("vision_heads") ||
         config.contains("transformer_width");
}

// A checkpoint, or what names the option where a configuration is missing.
template <typename Open>
auto opened(const Open& open) {
  try {
    return open();
  } catch (const weights::MissingConfiguration& error) {
    fail(ErrorKind::model, "{} (--config {}=FILE)", error.what(), error.part());
  }
}

// Also for those who want no progress: what was taken for granted decides the numbers.
void tell_note(const CommonOptions& common, const weights::Checkpoint& checkpoint) {
  if (checkpoint.note.empty()) return;
  const std::string text = fmt::format("{} (--config {}=FILE)", checkpoint.note, checkpoint.part);
  if (common.progress_mode() == ProgressMode::json)
    tell(common, {{"event", "note"}, {"text", text}}, text);
  else
    fmt::print(stderr, "note: {}\n", text);
}

weights::Checkpoint open_paths(const CommonOptions& common, const std::vector<fs::path>& paths,
                               std::string_view part) {
  auto checkpoint = opened([&] { return weights::open_checkpoint(paths, config_for(common, part), part); });
  tell_note(common, checkpoint);
  return checkpoint;
}

}  // namespace

nlohmann::json config_for(const CommonOptions& common, std::string_view part) {
  const std::string* chosen = nullptr;
  std::string value;
  for (const auto& entry : common.config) {
    const auto equals = entry.find('=');
    if (equals == std::string::npos) {
      if (!chosen) value = entry, chosen = &entry;
      continue;
    }
    const auto name = entry.substr(0, equals);
    check(name == "dvae" || name == "transformer" || name == "clip", ErrorKind::usage,
          "--config {}: there is no part '{}'; there are dvae, transformer and clip", entry, name);
    if (name == part) value = entry.substr(equals + 1), chosen = &entry;
  }
  if (!chosen) return nullptr;
  auto config = weights::read_config(value);
  const bool named = chosen->size() != value.size();
  return named || describes_clip(config) == (part == "clip") || part.empty() ? config : nlohmann::json();
}

std::optional<weights::Checkpoint> open_part_if_any(const CommonOptions& common, std::string_view part) {
  const auto paths = paths_of(common, part);
  if (paths.empty() || (files_of(common, part).empty() && directory_lacks(paths, part))) return std::nullopt;
  return open_paths(common, paths, part);
}

weights::Checkpoint open_part(const CommonOptions& common, std::string_view part) {
  auto paths = paths_of(common, part);
  if (paths.empty()) paths = {find_model(common)};  // throws with the places that were looked at
  return open_paths(common, paths, part);
}

std::map<std::string, weights::Checkpoint> open_parts(const CommonOptions& common,
                                                      const std::vector<fs::path>& paths) {
  auto parts = opened([&] {
    return weights::open_parts(paths, [&](std::string_view part) { return config_for(common, part); });
  });
  for (const auto& [name, part] : parts) tell_note(common, part);
  return parts;
}

fs::path find_text_tokenizer(const CommonOptions& common) {
  return common.tokenizer.empty() ? text_tokenizer_of_model(common).path : fs::path(common.tokenizer.front());
}

std::unique_ptr<text::Tokenizer> open_text_tokenizer(const CommonOptions& common) {
  if (!common.tokenizer.empty()) return text::open_tokenizer(common.tokenizer.front());
  return open_kind(text_tokenizer_of_model(common));
}

std::unique_ptr<text::Tokenizer> open_clip_tokenizer(const CommonOptions& common) {
  const auto paths = paths_of(common, "clip");
  if (paths.size() == 1 && weights::is_model_dir(paths[0])) {
    const auto directory = weights::read_model_dir(paths[0]);
    if (directory.clip_tokenizer) return open_kind(*directory.clip_tokenizer);
  }
  // A published CLIP file relies on the one tokenizer that all of them share.
  return text::open_tokenizer(shared_file("tokenizers/clip_bpe.txt.gz"));
}

}  // namespace dalle1::tools
