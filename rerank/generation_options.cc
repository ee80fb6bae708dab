#include "rerank/generation_options.h"

#include <algorithm>
#include <numeric>

#include "rerank/scorer.h"

namespace dalle1::rerank {

std::vector<uint32_t> GenerationOptions::candidate_indices() const {
  auto indices = only;
  if (indices.empty()) {
    indices.resize(static_cast<size_t>(candidates));
    std::iota(indices.begin(), indices.end(), 0);
  }
  std::sort(indices.begin(), indices.end());
  indices.erase(std::unique(indices.begin(), indices.end()), indices.end());
  return indices;
}

Json GenerationOptions::result_options() const {
  auto options = config::write<Json>(*this);
  options.erase("batch");
  options.erase("kv_dtype");
  return options;
}

GenerationOptions generation_options_from_json(const nlohmann::json& json) {
  GenerationOptions options;
  config::read(json, options, {}, {});
  return options;
}

std::vector<std::string> take_advice(GenerationOptions& options, const nlohmann::json& advice,
                                     const std::set<std::string>& given) {
  auto fields = advice;
  fields.erase("precision");  // see advised_precision()
  const auto read = [&](AdvisedOptions& into) {
    config::named("model.json", [&] { config::read(fields, into, {ErrorKind::model, "sampling"}); });
  };
  AdvisedOptions all;
  read(all);
  if (given.count("scorer")) fields.erase("prune");
  for (const auto& name : given) fields.erase(name);
  AdvisedOptions merged{options};
  read(merged);
  if (fields.contains("prune") && merged.prune > 0) merged.prune = std::max(merged.prune, merged.keep);
  options = merged;
  std::vector<std::string> taken;
  for (const auto& [name, value] : fields.items()) taken.push_back(name);
  return taken;
}

void validate(const GenerationOptions& options) {
  parse_scorer(options.scorer);
  check_pruning(options);
  check(options.negative.empty() || options.guided(), ErrorKind::usage,
        "{} does nothing without {}: add for instance {} 3", OptionName{"negative"}, OptionName{"guidance"},
        OptionName{"guidance"});
}

void check_pruning(const GenerationOptions& options) {
  if (options.prune == 0) return;
  check(!terms_of_tokens(parse_scorer(options.scorer)).empty(), ErrorKind::usage,
        "{} needs a scorer that reads tokens, and {} {} does not: add for instance caption, as in "
        "clip=1,caption=0.02",
        OptionName{"prune"}, OptionName{"scorer"}, options.scorer);
  check(options.prune >= options.keep, ErrorKind::usage, "{} {} leaves fewer pictures than {} {} asks for",
        OptionName{"prune"}, options.prune, OptionName{"keep"}, options.keep);
}

}  // namespace dalle1::rerank
