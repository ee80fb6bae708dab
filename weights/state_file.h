// What one file of any container holds, before anyone asks which model it is.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "weights/checkpoint.h"
#include "weights/file_bytes.h"

namespace dalle1::weights {

struct StateFile {
  std::string name;        ///< The path.
  std::string container;   ///< "safetensors", "PyTorch zip", "TorchScript", "PyTorch legacy".
  std::string root_class;  ///< "dall_e.encoder.Encoder" where a whole module was pickled; empty for a dict.
  std::map<std::string, std::string> metadata;  ///< Of safetensors.
  /// Numbers, texts and short lists beside the tensors, by path.
  std::map<std::string, nlohmann::json> attributes;
  /// The same of what a training program keeps beside a model that it has under a name of its own:
  /// "name", "hparams.dim".
  std::map<std::string, nlohmann::json> settings;
  std::vector<RawTensor> tensors;  ///< Names are paths of attributes joined by dots, unique.

  bool has(std::string_view tensor) const;
};

/// Reads a file of any known container, recognised by its first bytes and its structure, never by its suffix.
/// A JSON index reads its shards. Error(model) when it is none of them.
StateFile read_state_file(const std::filesystem::path& path);
StateFile read_state_file(const FileBytes& file);

}  // namespace dalle1::weights
