#include "rerank/results.h"

#include <fmt/format.h>

#include <cmath>
#include <fstream>

#include "core/error.h"

namespace dalle1::rerank {
namespace {

Json to_json(const CellRanges& ranges) {
  Json json = Json::array();
  for (const auto& [begin, end] : ranges) json.push_back({begin, end});
  return json;
}

CellRanges ranges_from_json(const Json& json) {
  CellRanges ranges;
  for (const auto& range : json) ranges.push_back({range.at(0).get<int32_t>(), range.at(1).get<int32_t>()});
  return ranges;
}

// They ascend within the grid and are all cells but the sampled ones.
void check_forced(const ResultRow& row, const std::string& where) {
  int32_t last = 0;
  for (const auto& [begin, end] : row.forced) {
    check(last <= begin && begin < end, ErrorKind::input, "{}: forced cells [{}, {}) are out of order", where,
          begin, end);
    last = end;
  }
  check(static_cast<size_t>(last) <= row.tokens.size() && (row.forced.empty() || row.says_forced()),
        ErrorKind::input, "{}: {} sampled cells and {} forced ones, up to cell {}, of {}", where,
        row.sampled_cells, count_of(row.forced), last, row.tokens.size());
}

}  // namespace

Standing ResultRow::standing() const {
  check(scored(), ErrorKind::internal, "candidate {} has no score yet", candidate);
  return {scores.front().second, candidate, constant};
}

std::string to_line(const ResultRow& row) {
  Json json;
  if (row.rank >= 0) json["rank"] = row.rank;
  json["candidate"] = row.candidate;
  json["seed"] = row.seed;
  if (!row.file.empty()) json["file"] = row.file;
  if (row.scored()) {
    json["score"] = row.scores.front().second;
    json["scores"] = Json::object();
    for (const auto& [name, value] : row.scores) json["scores"][name] = value;
  }
  json["log_likelihood"] = row.log_likelihood;
  json["forced_log_likelihood"] = row.forced_log_likelihood;
  json["sampled_cells"] = row.sampled_cells;
  if (!row.forced.empty()) json["forced_cells"] = to_json(row.forced);
  if (row.scored()) json["constant"] = row.constant;
  json["tokens"] = row.tokens;
  return json.dump();
}

ResultRow parse_row(std::string_view line, const std::string& where) {
  ResultRow row;
  try {
    const auto json = Json::parse(line);
    row.rank = json.value("rank", -1);
    row.candidate = json.at("candidate").get<uint32_t>();
    row.seed = json.at("seed").get<uint64_t>();
    row.file = json.value("file", std::string());
    if (json.contains("scores"))
      for (const auto& [name, value] : json.at("scores").items())
        row.scores.emplace_back(name, value.get<double>());
    row.log_likelihood = json.at("log_likelihood").get<double>();
    row.forced_log_likelihood = json.value("forced_log_likelihood", 0.0);
    row.sampled_cells = json.at("sampled_cells").get<int32_t>();
    if (json.contains("forced_cells")) row.forced = ranges_from_json(json.at("forced_cells"));
    row.constant = json.value("constant", false);
    row.tokens = json.at("tokens").get<std::vector<int32_t>>();
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::input, "{}: not a row of results: {}", where, error.what());
  }
  // A name that leaves the folder would let a file from elsewhere point anywhere.
  check(row.file.find('/') == std::string::npos, ErrorKind::input,
        "{}: the file name '{}' has a folder in it", where, row.file);
  check_forced(row, where);
  for (const auto& [name, value] : row.scores)
    check(std::isfinite(value), ErrorKind::input, "{}: score '{}' is not a number", where, name);
  return row;
}

std::vector<ResultRow> read_results(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  check(file.good(), ErrorKind::input, "{}: cannot be read", path.string());
  std::vector<ResultRow> rows;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number)
    if (!line.empty()) rows.push_back(parse_row(line, fmt::format("{} line {}", path.string(), number)));
  check(!file.bad(), ErrorKind::input, "{}: cannot be read to its end", path.string());
  return rows;
}

std::string caption_of(const ResultRow& row) {
  return fmt::format("#{} candidate {}  {:.2f}", row.rank, row.candidate, row.standing().score);
}

std::string brief_caption_of(const ResultRow& row) {
  return fmt::format("#{}  {:.2f}", row.rank, row.standing().score);
}

std::string picture_name(int rank, uint32_t candidate) {
  return fmt::format("rank-{:03}_candidate-{:04}.png", rank, candidate);
}

}  // namespace dalle1::rerank
