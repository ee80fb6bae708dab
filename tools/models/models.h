// The parts of the model that the options name: each from its own option or else from the model.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/text/tokenizer.h"
#include "tools/program/options.h"
#include "weights/checkpoint.h"

namespace dalle1::tools {

/// The configuration that --config gives for a part: PART=..., else one without a part; null when there is
/// none.
nlohmann::json config_for(const CommonOptions& common, std::string_view part);

/// "dvae", "transformer", "clip" or "captioner": the files of --dvae, --transformer, ..., with the
/// configuration of
/// --config unless one without a part describes another part than this, else the model that
/// find_model() finds. Error(model) when the model has no such part, and as weights::open_checkpoint.
weights::Checkpoint open_part(const CommonOptions& common, std::string_view part);
/// The same, or nothing when neither an option nor the model has the part.
std::optional<weights::Checkpoint> open_part_if_any(const CommonOptions& common, std::string_view part);

/// Every part of the given files by name, with the configurations of --config, as weights::open_parts.
std::map<std::string, weights::Checkpoint> open_parts(const CommonOptions& common,
                                                      const std::vector<std::filesystem::path>& paths);

/// The file of the transformer's tokenizer: --tokenizer, else the model's. Error(model) when there is none.
std::filesystem::path find_text_tokenizer(const CommonOptions& common);
/// That tokenizer.
std::unique_ptr<text::Tokenizer> open_text_tokenizer(const CommonOptions& common);
/// The same; a published transformer that has no tokenizer beside it takes its usual one. Error(model) where
/// that is DALLE-pytorch's of Chinese.
std::unique_ptr<text::Tokenizer> open_text_tokenizer(const CommonOptions& common,
                                                     const weights::Checkpoint& transformer);
/// The file of the tokenizer that a published format has where it is not given: DALLE-pytorch's of 49,408
/// tokens is CLIP's. Nothing for other transformers.
std::optional<std::filesystem::path> usual_tokenizer_of(const weights::Checkpoint& transformer);
/// CLIP's tokenizer: that of the model directory or the hub's folder given by --clip or --model; a published
/// CLIP file has none of its own and takes the merges that all of them share, which come with the program.
std::unique_ptr<text::Tokenizer> open_clip_tokenizer(const CommonOptions& common);

}  // namespace dalle1::tools
