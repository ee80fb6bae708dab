// Opens whatever the user has: a native model directory, a native part file, or a published checkpoint,
// recognised by its content.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "weights/checkpoint.h"
#include "weights/state_file.h"

namespace dalle1::weights {

/// One part of a model. `paths` is a model directory, a CLIP's folder from a model hub (hub_dir.h), a native
/// file, or the files of one published checkpoint (several where it comes in several: OpenAI's encoder.pkl
/// and decoder.pkl). `config` is the architecture where the files do not carry it: JSON in the native or the
/// publisher's terms (see read_config); null otherwise. A CLIP's has to agree with what its file says.
/// Components that wrap all names of a published checkpoint ("module.") are passed over. `part` is "dvae",
/// "transformer", "clip" or "captioner": what a directory shall yield and a file must be; empty takes what is
/// there. Error(model) when the content is unknown, damaged or not that part.
Checkpoint open_checkpoint(const std::vector<std::filesystem::path>& paths,
                           const nlohmann::json& config = nullptr, std::string_view part = "");

/// Every part that the files make, by name: files of one published checkpoint are joined, others stand alone,
/// and a directory gives all its parts. `config_of` is asked for the configuration of a part. Error(model)
/// when two inputs make the same part.
using ConfigOfPart = std::function<nlohmann::json(std::string_view part)>;
std::map<std::string, Checkpoint> open_parts(const std::vector<std::filesystem::path>& paths,
                                             const ConfigOfPart& config_of);

/// The names of the parts that one published or native file makes; none where its content is unknown.
std::set<std::string> parts_of_file(const std::filesystem::path& path);

/// One part from files that are read already.
Checkpoint import_files(std::vector<StateFile> files, const nlohmann::json& config = nullptr);

/// A configuration as the user gives it: the name of a preset, a JSON file, or the published YAML.
/// open_clip's and Hugging Face's JSON of a CLIP is turned into native terms.
nlohmann::json read_config(const std::string& preset_or_file);

}  // namespace dalle1::weights
