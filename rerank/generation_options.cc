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
  for (const auto& name : given) fields.erase(name);
  AdvisedOptions merged{options};
  read(merged);
  options = merged;
  std::vector<std::string> taken;
  for (const auto& [name, value] : fields.items()) taken.push_back(name);
  return taken;
}

void validate(const GenerationOptions& options) {
  parse_scorer(options.scorer);
  check(options.negative.empty() || options.guided(), ErrorKind::usage,
        "{} does nothing without {}: add for instance {} 3", OptionName{"negative"}, OptionName{"guidance"},
        OptionName{"guidance"});
}

}  // namespace dalle1::rerank
