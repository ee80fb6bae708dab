#include "weights/open.h"

#include <algorithm>

#include "weights/import.h"
#include "weights/model_dir.h"
#include "weights/small_json.h"

namespace dalle1::weights {
namespace {

const Importer* find_importer(const StateFile& file) {
  for (const Importer* importer :
       {&openai_dvae_importer(), &openai_clip_importer(), &rudalle_importer(), &rudalle_vqgan_importer()})
    if (importer->recognises(file)) return importer;
  return nullptr;
}

[[noreturn]] void refuse_unknown(const StateFile& file) {
  std::string names;
  for (size_t i = 0; i < file.tensors.size() && i < 3; ++i)
    names += (i ? ", " : "") + printable(file.tensors[i].name);
  if (file.tensors.size() > 3) names += ", ...";
  fail(ErrorKind::model,
       "{}: {} {}, of no known model; known are dalle1's own files, OpenAI's dVAE and CLIP, and ru-dalle's "
       "transformers and VQGANs",
       file.name, file.container,
       names.empty() ? "without tensors"
                     : fmt::format("with tensors {} ({} in all)", names, file.tensors.size()));
}

bool is_native(const StateFile& file) { return file.metadata.contains("dalle1.part"); }

Checkpoint native_part(const StateFile& file) {
  auto text = file.metadata.find("dalle1.config");
  check(text != file.metadata.end(), ErrorKind::model, "{}: its metadata lack dalle1.config", file.name);
  Checkpoint result;
  result.part = file.metadata.at("dalle1.part");
  result.format = "native";
  result.source = file.name;
  result.config = parse_small_json(file.name, text->second);
  result.tensors = file.tensors;
  return result;
}

Checkpoint from_directory(const std::filesystem::path& path, std::string_view part) {
  check(is_model_dir(path), ErrorKind::model, "{}: a folder without model.json", path.string());
  ModelDir model = read_model_dir(path);
  check(!part.empty() || model.parts.size() == 1, ErrorKind::model, "{}: it has several parts",
        path.string());
  auto found = part.empty() ? model.parts.begin() : model.parts.find(std::string(part));
  check(found != model.parts.end(), ErrorKind::model, "{}: it has no {}", path.string(), part);
  return found->second;
}

}  // namespace

Checkpoint import_files(const std::vector<StateFile>& files, const nlohmann::json& config) {
  check(!files.empty(), ErrorKind::internal, "no files to import");
  if (files.size() == 1 && is_native(files[0])) return native_part(files[0]);
  const Importer* importer = find_importer(files[0]);
  if (!importer) refuse_unknown(files[0]);
  for (const StateFile& file : files)
    check(find_importer(file) == importer, ErrorKind::model, "{} and {} do not belong together",
          files[0].name, file.name);
  check(
      !config.is_null() || !importer->needs_config, ErrorKind::model,
      "{}: {} does not say its configuration: add --config with a preset (such as {}) or a JSON file of the "
      "constructor's arguments",
      files[0].name, importer->format, importer->presets);
  try {
    return importer->convert(files, config);
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::model, "{}: the configuration does not fit {}: {}", source_of(files), importer->format,
         error.what());
  }
}

Checkpoint open_checkpoint(const std::vector<std::filesystem::path>& paths, const nlohmann::json& config,
                           std::string_view part) {
  check(!paths.empty(), ErrorKind::usage, "no checkpoint was given");
  std::error_code unreadable;  // then opening it says why
  if (paths.size() == 1 && std::filesystem::is_directory(paths[0], unreadable))
    return from_directory(paths[0], part);
  std::vector<StateFile> files;
  for (const auto& path : paths) files.push_back(read_state_file(path));
  Checkpoint result = import_files(files, config);
  check(part.empty() || result.part == part, ErrorKind::model, "{}: a {} ({}), not a {}", result.source,
        result.part, result.format, part);
  return result;
}

std::map<std::string, Checkpoint> open_parts(const std::vector<std::filesystem::path>& paths,
                                             const ConfigOfPart& config_of) {
  std::map<std::string, Checkpoint> parts;
  auto add = [&](Checkpoint part) {
    const std::string source = part.source, name = part.part;
    auto [found, fresh] = parts.emplace(name, std::move(part));
    check(fresh, ErrorKind::model, "{} and {} are both a {}", found->second.source, source, name);
  };
  std::map<const Importer*, std::vector<StateFile>> groups;
  for (const auto& path : paths) {
    if (is_model_dir(path)) {
      for (auto& [name, part] : read_model_dir(path).parts) add(part);
      continue;
    }
    std::error_code unreadable;  // then reading it says why
    check(!std::filesystem::is_directory(path, unreadable), ErrorKind::model,
          "{}: a folder without model.json", path.string());
    StateFile file = read_state_file(path);
    if (is_native(file)) {
      add(native_part(file));
      continue;
    }
    const Importer* importer = find_importer(file);
    if (!importer) refuse_unknown(file);
    groups[importer].push_back(std::move(file));
  }
  for (auto& [importer, files] : groups) add(import_files(files, config_of(importer->part)));
  return parts;
}

}  // namespace dalle1::weights
