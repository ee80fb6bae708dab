#include "tools/models/open_model_set.h"

#include "tools/models/captioner_model.h"
#include "tools/models/transformer_model.h"
#include "weights/model_dir.h"

namespace dalle1::tools {

rerank::ModelSet open_model_set(const CommonOptions& common, const std::string& scorer) {
  rerank::ModelParts parts;
  parts.transformer = open_part(common, "transformer");
  parts.dvae = open_part(common, "dvae");
  parts.tokenizer = open_text_tokenizer(common, parts.transformer);
  for (const auto& term : rerank::parse_scorer(scorer)) {
    if (term.name == "clip") {
      parts.clip = open_part_if_any(common, "clip");
      if (parts.clip) parts.clip_tokenizer = open_clip_tokenizer(common);
    } else if (term.name.starts_with("caption") && !parts.captioner) {
      parts.captioner = open_part_if_any(common, "captioner");
      if (!parts.captioner) continue;
      parts.captioner_tokenizer_file = find_captioner_tokenizer(common);
      parts.captioner_tokenizer = text::open_tokenizer(parts.captioner_tokenizer_file);
    }
  }
  parts.directory = find_model_if_any(common).value_or(std::filesystem::path());
  parts.name = parts.transformer.format;
  if (weights::is_model_dir(parts.directory)) {
    const auto directory = weights::read_model_dir(parts.directory);
    parts.name = directory.name;
    if (common.transformer.empty()) parts.sampling = directory.sampling;
  }
  const auto device = open_device(common);
  return rerank::ModelSet(std::move(parts), scorer, device, precision_name_of(common, *device));
}

}  // namespace dalle1::tools
