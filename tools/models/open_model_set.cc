#include "tools/models/open_model_set.h"

#include <algorithm>

#include "tools/models/captioner_model.h"
#include "tools/models/transformer_model.h"
#include "weights/model_dir.h"

namespace dalle1::tools {

namespace {

void open_clip_part(const CommonOptions& common, rerank::ModelParts& parts) {
  parts.clip = open_part_if_any(common, "clip");
  if (parts.clip) parts.clip_tokenizer = open_clip_tokenizer(common);
}

void open_captioner_part(const CommonOptions& common, rerank::ModelParts& parts) {
  parts.captioner = open_part_if_any(common, "captioner");
  if (!parts.captioner) return;
  parts.captioner_tokenizer_file = find_captioner_tokenizer(common);
  parts.captioner_tokenizer = text::open_tokenizer(parts.captioner_tokenizer_file);
}

void read_names(const CommonOptions& common, rerank::ModelParts& parts) {
  parts.directory = find_model_if_any(common).value_or(std::filesystem::path());
  parts.name = parts.transformer.format;
  if (!weights::is_model_dir(parts.directory)) return;
  const auto directory = weights::read_model_dir(parts.directory);
  parts.name = directory.name;
  if (!common.transformer.empty()) return;
  parts.sampling = directory.sampling;
  if (common.dvae.empty() && common.clip.empty()) return;
  parts.sampling.erase("scorer");
  parts.sampling.erase("prune");
}

}  // namespace

rerank::ModelSet open_model_set(const CommonOptions& common, const std::string& scorer, Judges judges) {
  rerank::ModelParts parts;
  parts.transformer = open_part(common, "transformer");
  parts.dvae = open_part(common, "dvae");
  parts.tokenizer = open_text_tokenizer(common, parts.transformer);
  read_names(common, parts);
  const auto ranked_by = scorer.empty() ? rerank::advised_scorer(parts.sampling) : scorer;
  const auto terms = rerank::parse_scorer(ranked_by);
  const auto needs = [&](std::string_view judge) {
    return judges == Judges::all || std::any_of(terms.begin(), terms.end(), [&](const auto& term) {
             return term.name.starts_with(judge);
           });
  };
  if (needs("clip")) open_clip_part(common, parts);
  if (needs("caption")) open_captioner_part(common, parts);
  const auto device = open_device(common);
  return rerank::ModelSet(std::move(parts), ranked_by, device, precision_name_of(common, *device));
}

}  // namespace dalle1::tools
