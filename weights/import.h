// Importers: each recognises the files of one published format by their tensors and turns them into a
// Checkpoint with native names. One file per format, its names in a table.
#pragma once

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "weights/state_file.h"

namespace dalle1::weights {

/// A rule for tensor names. In `from`, '#' stands for a number and a last '*' for any rest; both are copied
/// to `to` in order. An empty `to` drops the tensor: it is known, and no part of the model.
struct NameRule {
  std::string_view from;
  std::string_view to;
};

/// The new name under the first rule that matches. nullopt: no rule matches; empty: dropped.
std::optional<std::string> renamed(std::string_view name, std::span<const NameRule> rules);

/// Renames and drops by the rules, in the order of the files. Error(model) lists tensors that no rule knows
/// and names that come twice.
std::vector<RawTensor> rename_tensors(const std::vector<StateFile>& files, std::span<const NameRule> rules);

struct Importer {
  std::string_view format;
  std::string_view part;     ///< "dvae", "transformer" or "clip".
  bool needs_config;         ///< The files do not carry it.
  std::string_view presets;  ///< Some that fit, for messages.
  bool (*recognises)(const StateFile& file);
  /// `config` is null or what the user gave, already JSON. Error(model) when the tensors do not make one
  /// model.
  Checkpoint (*convert)(const std::vector<StateFile>& files, const nlohmann::json& config);
};

const Importer& openai_dvae_importer();
const Importer& openai_clip_importer();
const Importer& hf_clip_importer();
const Importer& rudalle_importer();
const Importer& vqgan_importer();
const Importer& dalle_pytorch_importer();
const Importer& discrete_vae_importer();

/// A file of several models as one file of each, else the file itself: DALLE-pytorch keeps its dVAE beside
/// its transformer.
std::vector<StateFile> parts_in(StateFile file);

/// Extent `axis` of a tensor that the format must have; Error(model) names it otherwise.
int64_t extent_of(const TensorIndex& tensors, const std::string& source, std::string_view name, size_t axis);

/// One more than the largest number at '#' among tensors named like `pattern`, which ends in '*'.
int64_t count_numbered(const std::vector<RawTensor>& tensors, std::string_view pattern);

/// What the files do not say and a configuration has to: Error(model), with the part that it is of.
class MissingConfiguration : public Error {
 public:
  MissingConfiguration(std::string_view part, const std::string& message)
      : Error(ErrorKind::model, message), part_(part) {}
  const std::string& part() const { return part_; }

 private:
  std::string part_;
};

/// Adds the fields of `given` (null: none) to the checkpoint's configuration. Error(model) names one that
/// disagrees with what the checkpoint has there.
void add_given(Checkpoint& checkpoint, const nlohmann::json& given);

/// A checkpoint with everything but its configuration and tensors.
Checkpoint part_from(const std::vector<StateFile>& files, std::string_view part, std::string_view format);

std::string source_of(const std::vector<StateFile>& files);  ///< Paths joined by ", ".

}  // namespace dalle1::weights
