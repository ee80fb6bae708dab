// The native model directory: model.json, one safetensors file per part, tokenizer files, README.md (the
// model card).
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "weights/checkpoint.h"
#include "weights/part_file.h"

namespace dalle1::weights {

constexpr int model_format_version = 1;

struct TokenizerFile {
  std::string kind;  ///< As text::Tokenizer::kind().
  std::filesystem::path path;
};

struct ModelDir {
  std::filesystem::path path;
  nlohmann::json document;  ///< model.json as it is.
  std::string name, licence;
  nlohmann::json sampling;  ///< How to draw with it where the user does not say: {"guidance": 2, ...}, or {}.
  std::map<std::string, Checkpoint> parts;  ///< By "dvae", "transformer", "clip", "captioner".
  std::optional<TokenizerFile> tokenizer, clip_tokenizer;
};

bool is_model_dir(const std::filesystem::path& path);  ///< A folder with a model.json.

/// Reads model.json and maps the parts. Every file must have the size that model.json gives; with `verify`
/// its sha256 is computed and compared too (reads everything once). Error(model) names what does not fit.
ModelDir read_model_dir(const std::filesystem::path& path, bool verify = false);

/// Writes a model directory; model.json comes last, so that a broken run leaves no directory that looks
/// whole.
class ModelDirWriter {
 public:
  /// Makes the folder if need be.
  ModelDirWriter(std::filesystem::path path, const std::string& name, const std::string& licence);

  void set_provenance(nlohmann::json provenance) { document_["provenance"] = std::move(provenance); }
  /// As ModelDir::sampling; nothing is written of an empty one.
  void set_sampling(nlohmann::json sampling);
  /// Writes a checkpoint as a part under its own name.
  void add(const Checkpoint& checkpoint, std::optional<DType> dtype = {});
  /// Registers PART.safetensors, which the caller has written into the folder already.
  void add_written(const std::string& part, const nlohmann::json& config);
  /// `key` is "tokenizer" or "clip_tokenizer"; the file is copied under `file_name`.
  void add_tokenizer(const std::string& key, const TokenizerFile& tokenizer, const std::string& file_name);
  /// The same of a file with this content.
  void add_tokenizer(const std::string& key, const std::string& kind, const std::string& text,
                     const std::string& file_name);
  /// README.md. Without it, commit() writes a card from what model.json says.
  void add_card(std::string text) { card_ = std::move(text); }

  void commit();

 private:
  void record(const std::string& file_name);

  std::filesystem::path path_;
  nlohmann::json document_;
  std::string card_;
};

}  // namespace dalle1::weights
