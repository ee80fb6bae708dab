#include "rerank/metadata.h"

#include <fmt/format.h>

namespace dalle1::rerank {
namespace {

// Prompt, a line for the negative prompt, a line of "Name: value" pairs: the layout that AUTOMATIC1111's
// program made common.
std::string common_parameters(const RunInfo& info, int size, const std::string& which) {
  std::string text = info.request.prompt + "\n";
  if (!info.request.negative.empty()) text += "Negative prompt: " + info.request.negative + "\n";
  text += fmt::format("Steps: {}, Sampler: dalle1, CFG scale: {}, Seed: {}, Size: {}x{}", info.cells,
                      info.request.guidance, info.request.seed, size, size);
  if (!info.model_sha256.empty()) text += ", Model hash: " + info.model_sha256.substr(0, 10);
  if (!info.model_name.empty()) text += ", Model: " + info.model_name;
  text += fmt::format(", Temperature: {}, Top K: {}, Top P: {}", info.request.temperature, info.request.top_k,
                      info.request.top_p);
  return text + which + ", Version: dalle1 " + info.version;
}

Json common_record(const RunInfo& info) {
  Json json = {{"version", info.version},
               {"prompt", info.request.prompt},
               {"negative", info.request.negative},
               {"seed", info.request.seed}};
  json.update(config::write<Json>(DrawingOptions{info.request}));
  json.update({{"model", info.model_name}, {"model_sha256", info.model_sha256}, {"device", info.device}});
  json.update(info.extra);
  return json;
}

}  // namespace

std::vector<PngText> picture_metadata(const RunInfo& info, const ResultRow& row, int size, bool partial) {
  auto json = common_record(info);
  json["candidate"] = row.candidate;
  json["rank"] = row.rank;
  json["scores"] = Json::object();
  for (const auto& [name, value] : row.scores) json["scores"][name] = value;
  json["log_likelihood"] = row.log_likelihood;
  json["partial"] = partial;
  return {{"parameters",
           common_parameters(info, size, fmt::format(", Candidate: {}, Rank: {}", row.candidate, row.rank))},
          {"dalle1", json.dump(-1, ' ', false, Json::error_handler_t::replace)}};
}

std::vector<PngText> sheet_metadata(const RunInfo& info, int candidates, int kept, int size, bool partial) {
  auto json = common_record(info);
  json["candidates"] = candidates;
  json["kept"] = kept;
  json["partial"] = partial;
  return {{"parameters",
           common_parameters(info, size, fmt::format(", Candidates: {}, Kept: {}", candidates, kept))},
          {"dalle1", json.dump(-1, ' ', false, Json::error_handler_t::replace)}};
}

}  // namespace dalle1::rerank
