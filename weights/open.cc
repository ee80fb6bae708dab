#include "weights/open.h"

#include <algorithm>
#include <set>

#include "weights/hub_dir.h"
#include "weights/import.h"
#include "weights/model_dir.h"
#include "weights/name_prefix.h"
#include "weights/small_json.h"

namespace dalle1::weights {
namespace {

const Importer* find_importer(const StateFile& file) {
  for (const Importer* importer :
       {&openai_dvae_importer(), &openai_clip_importer(), &hf_clip_importer(), &rudalle_importer(),
        &vqgan_importer(), &dalle_pytorch_importer(), &discrete_vae_importer()})
    if (importer->recognises(file)) return importer;
  return nullptr;
}

/// The importer that knows the file's names, whose shared components are removed until one does.
const Importer* recognise(StateFile& file) {
  if (const Importer* importer = find_importer(file)) return importer;
  StateFile inner = file;
  while (strip_shared_component(inner)) {
    const Importer* importer = find_importer(inner);
    if (!importer) continue;
    file = std::move(inner);
    return importer;
  }
  return nullptr;
}

/// "; those under 'clip.' are of openai-clip" where only the rest is in the way.
std::string known_part_of(const StateFile& file) {
  std::set<std::string> seen;
  for (const RawTensor& tensor : file.tensors) {
    const size_t dot = tensor.name.find('.');
    if (dot == tensor.name.npos || !seen.insert(tensor.name.substr(0, dot)).second) continue;
    StateFile part = tensors_under(file, tensor.name.substr(0, dot));
    if (const Importer* importer = recognise(part))
      return fmt::format("; those under '{}.' are of {}: save them as a file of their own",
                         printable(tensor.name.substr(0, dot)), importer->format);
  }
  return "";
}

[[noreturn]] void refuse_unknown(const StateFile& file) {
  std::string names;
  for (size_t i = 0; i < file.tensors.size() && i < 3; ++i)
    names += (i ? ", " : "") + printable(file.tensors[i].name);
  if (file.tensors.size() > 3) names += ", ...";
  fail(ErrorKind::model,
       "{}: {} {}, of no known model; known are dalle1's own files, OpenAI's dVAE and CLIP, open_clip's and "
       "Hugging Face's CLIPs, taming-transformers' VQGANs, ru-dalle's transformers and VQGANs, and "
       "DALLE-pytorch's{}",
       file.name, file.container,
       names.empty() ? "without tensors"
                     : fmt::format("with tensors {} ({} in all)", names, file.tensors.size()),
       known_part_of(file));
}

bool is_native(const StateFile& file) { return file.metadata.contains("dalle1.part"); }

Checkpoint native_part(StateFile file, const nlohmann::json& config) {
  auto text = file.metadata.find("dalle1.config");
  check(text != file.metadata.end(), ErrorKind::model, "{}: its metadata lack dalle1.config", file.name);
  Checkpoint result;
  result.part = file.metadata.at("dalle1.part");
  result.format = "native";
  result.source = file.name;
  result.config = parse_small_json(file.name, text->second);
  strip_wrappers(file);
  result.tensors = std::move(file.tensors);
  if (result.part == "clip") add_given(result, config);
  return result;
}

void check_model_dir(const std::filesystem::path& path) {
  check(is_model_dir(path), ErrorKind::model,
        "{}: a folder without model.json, and none of a CLIP as hubs hand it out (model.safetensors, "
        "open_clip_pytorch_model.bin, ...)",
        path.string());
}

/// The pieces of the files that make `part`; all of them where it is empty or nothing does.
std::vector<StateFile> files_of_part(const std::vector<std::filesystem::path>& paths, std::string_view part) {
  std::vector<StateFile> pieces, wanted;
  for (const auto& path : paths)
    for (StateFile& piece : parts_in(read_state_file(path))) pieces.push_back(std::move(piece));
  if (pieces.size() == paths.size()) return pieces;  // no file has several parts
  for (const StateFile& piece : pieces) {
    StateFile known = piece;
    const Importer* importer = recognise(known);
    if (importer && importer->part == part) wanted.push_back(piece);
  }
  check(!wanted.empty(), ErrorKind::model, "{}: it has {} parts, none of them a {}", pieces.front().name,
        pieces.size(), part.empty() ? "model that was asked for" : part);
  return wanted;
}

/// A hub's folder, where its own configuration and a given one must not contradict each other.
Checkpoint from_hub(const HubDir& hub, const nlohmann::json& config) {
  nlohmann::json whole = config_of(hub);
  for (const auto& [field, value] : config.items()) {
    const auto own = whole.find(field);
    check(own == whole.end() || *own == value, ErrorKind::model,
          "{}: the configuration that was given says {} {}, but the folder's {}", hub.weights.string(),
          printable(field), printable(value.dump()), own == whole.end() ? "" : printable(own->dump()));
    whole[field] = value;
  }
  return import_files({read_state_file(hub.weights)}, whole);
}

Checkpoint from_directory(const std::filesystem::path& path, const nlohmann::json& config,
                          std::string_view part) {
  check_model_dir(path);
  ModelDir model = read_model_dir(path);
  check(!part.empty() || model.parts.size() == 1, ErrorKind::model, "{}: it has several parts",
        path.string());
  auto found = part.empty() ? model.parts.begin() : model.parts.find(std::string(part));
  check(found != model.parts.end(), ErrorKind::model, "{}: it has no {}", path.string(), part);
  if (found->first == "clip") add_given(found->second, config);
  return found->second;
}

}  // namespace

Checkpoint import_files(std::vector<StateFile> files, const nlohmann::json& config) {
  check(!files.empty(), ErrorKind::internal, "no files to import");
  if (files.size() == 1 && is_native(files[0])) return native_part(files[0], config);
  const Importer* importer = recognise(files[0]);
  if (!importer) refuse_unknown(files[0]);
  for (StateFile& file : files)
    check(recognise(file) == importer, ErrorKind::model, "{} and {} do not belong together", files[0].name,
          file.name);
  check(!config.is_null() || !importer->needs_config, ErrorKind::model,
        "{}: {} does not say its configuration: add {} with a preset (such as {}) or a JSON file of the "
        "constructor's arguments",
        files[0].name, importer->format, OptionName{"config"}, importer->presets);
  try {
    return importer->convert(files, config);
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::model, "{}: the configuration does not fit {}: {}", source_of(files), importer->format,
         error.what());
  }
}

std::set<std::string> parts_of_file(const std::filesystem::path& path) {
  StateFile file = read_state_file(path);
  if (is_native(file)) return {file.metadata.at("dalle1.part")};
  std::set<std::string> parts;
  for (StateFile& piece : parts_in(std::move(file)))
    if (const Importer* importer = recognise(piece)) parts.insert(std::string(importer->part));
  return parts;
}

Checkpoint open_checkpoint(const std::vector<std::filesystem::path>& paths, const nlohmann::json& config,
                           std::string_view part) {
  check(!paths.empty(), ErrorKind::usage, "no checkpoint was given");
  std::error_code unreadable;  // then opening it says why
  const bool folder = paths.size() == 1 && std::filesystem::is_directory(paths[0], unreadable);
  const std::optional<HubDir> hub = folder && !is_model_dir(paths[0]) ? find_hub_dir(paths[0]) : std::nullopt;
  if (folder && !hub) return from_directory(paths[0], config, part);
  Checkpoint result;
  if (hub) {
    result = from_hub(*hub, config);
  } else {
    result = import_files(files_of_part(paths, part), config);
  }
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
      for (auto& [name, part] : read_model_dir(path).parts) {
        if (name == "clip") add_given(part, config_of(name));
        add(part);
      }
      continue;
    }
    std::error_code unreadable;  // then reading it says why
    if (std::filesystem::is_directory(path, unreadable)) {
      const auto hub = find_hub_dir(path);
      if (!hub) check_model_dir(path);
      add(from_hub(*hub, config_of("clip")));
      continue;
    }
    StateFile file = read_state_file(path);
    if (is_native(file)) {
      add(native_part(file, config_of(file.metadata.at("dalle1.part"))));
      continue;
    }
    for (StateFile& piece : parts_in(std::move(file))) {
      const Importer* importer = recognise(piece);
      if (!importer) refuse_unknown(piece);
      groups[importer].push_back(std::move(piece));
    }
  }
  for (auto& [importer, files] : groups) add(import_files(files, config_of(importer->part)));
  return parts;
}

}  // namespace dalle1::weights
