#include "tools/models/models.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "tools/program/progress.h"
#include "tools/program/standard_streams.h"
#include "weights/hub_dir.h"
#include "weights/import.h"
#include "weights/model_dir.h"
#include "weights/open.h"
#include "weights/presets.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

const std::vector<std::string>& files_of(const CommonOptions& common, std::string_view part) {
  if (part == "dvae") return common.dvae;
  if (part == "transformer") return common.transformer;
  if (part == "captioner") return common.captioner;
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

// Whether a model, a directory or a file of several parts, has no such part.
bool model_lacks(const std::vector<fs::path>& paths, std::string_view part) {
  if (paths.size() != 1) return false;
  if (weights::is_model_dir(paths[0]))
    return weights::read_model_dir(paths[0]).parts.count(std::string(part)) == 0;
  std::error_code unreadable;  // then opening it says why
  return fs::is_regular_file(paths[0], unreadable) &&
         weights::parts_of_file(paths[0]).count(std::string(part)) == 0;
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

struct ChosenConfig {
  std::string value;  // of --config, without a part
  bool names_part = false;
};

std::optional<ChosenConfig> chosen_config(const CommonOptions& common, std::string_view part) {
  std::optional<ChosenConfig> chosen;
  for (const auto& entry : common.config) {
    const auto equals = entry.find('=');
    if (equals == std::string::npos) {
      if (!chosen) chosen = ChosenConfig{entry, false};
      continue;
    }
    const auto name = entry.substr(0, equals);
    check(name == "dvae" || name == "transformer" || name == "clip" || name == "captioner", ErrorKind::usage,
          "--config {}: there is no part '{}'; there are dvae, transformer, clip and captioner", entry, name);
    if (name == part) chosen = ChosenConfig{entry.substr(equals + 1), true};
  }
  return chosen;
}

// A configuration without a part is for those that it can describe: CLIP's have fields of their own.
bool describes_clip(const nlohmann::json& config) {
  return config.contains("vision_width") || config.contains("vision_heads") ||
         config.contains("transformer_width");
}

// What goes with the files of a part: null where the configuration is another part's.
nlohmann::json config_to_open(const CommonOptions& common, std::string_view part) {
  const auto chosen = chosen_config(common, part);
  if (!chosen) return nullptr;
  auto config = weights::read_config(chosen->value);
  if (const auto* preset = weights::find_preset(chosen->value); preset && !chosen->names_part)
    return (preset->part == "clip") == (part == "clip") ? config : nullptr;
  if (!chosen->names_part && describes_clip(config) != (part == "clip")) return nullptr;
  return config;
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
  const std::string text = fmt::format("{} (--config {}=PRESET|FILE)", checkpoint.note, checkpoint.part);
  if (common.progress_mode() == ProgressMode::json)
    tell(common, {{"event", "note"}, {"text", text}}, text);
  else if (job_comm()->is_root())
    write_stderr(fmt::format("note: {}\n", text));
}

weights::Checkpoint open_paths(const CommonOptions& common, const std::vector<fs::path>& paths,
                               std::string_view part) {
  auto checkpoint =
      opened([&] { return weights::open_checkpoint(paths, config_to_open(common, part), part); });
  tell_note(common, checkpoint);
  return checkpoint;
}

}  // namespace

nlohmann::json config_for(const CommonOptions& common, std::string_view part) {
  const auto chosen = chosen_config(common, part);
  return chosen ? weights::read_config(chosen->value) : nlohmann::json();
}

std::optional<weights::Checkpoint> open_part_if_any(const CommonOptions& common, std::string_view part) {
  const auto paths = paths_of(common, part);
  if (paths.empty() || (files_of(common, part).empty() && model_lacks(paths, part))) return std::nullopt;
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
    return weights::open_parts(paths, [&](std::string_view part) { return config_to_open(common, part); });
  });
  for (const auto& [name, part] : parts) tell_note(common, part);
  return parts;
}

fs::path find_text_tokenizer(const CommonOptions& common) {
  return common.tokenizer.empty() ? text_tokenizer_of_model(common).path : fs::path(common.tokenizer.front());
}

std::optional<fs::path> usual_tokenizer_of(const weights::Checkpoint& transformer) {
  constexpr int clip_tokens = 49408;
  if (transformer.format != "dalle-pytorch") return {};
  const auto vocabulary = transformer.config.at("text_vocab").get<int64_t>();
  if (vocabulary != clip_tokens) return {};
  return shared_file("tokenizers/clip_bpe.txt.gz");
}

std::unique_ptr<text::Tokenizer> open_text_tokenizer(const CommonOptions& common,
                                                     const weights::Checkpoint& transformer) {
  if (!common.tokenizer.empty()) return open_text_tokenizer(common);
  constexpr int chinese_tokens = 21128;
  check(transformer.format != "dalle-pytorch" || transformer.config.at("text_vocab") != chinese_tokens,
        ErrorKind::model,
        "{}: its {} text tokens are those of ChineseTokenizer (bert-base-chinese), which is not supported",
        transformer.source, chinese_tokens);
  const auto usual = usual_tokenizer_of(transformer);
  return usual ? text::open_tokenizer(*usual) : open_text_tokenizer(common);
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
  } else if (const auto hub = paths.size() == 1 ? weights::find_hub_dir(paths[0]) : std::nullopt;
             hub && !hub->tokenizer.empty()) {
    const std::string text = weights::tokenizer_text(*hub);
    return text::parse_tokenizer(std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()),
                                 hub->tokenizer.front().string());
  }
  // A published CLIP file relies on the one tokenizer that all of them share.
  return text::open_tokenizer(shared_file("tokenizers/clip_bpe.txt.gz"));
}

}  // namespace dalle1::tools
