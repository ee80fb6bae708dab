#include "rerank/results.h"

#include <fmt/format.h>

#include <cmath>

#include "core/error.h"
#include "core/io/text_file.h"
#include "core/json.h"

namespace dalle1::rerank {
namespace {

Json to_json(const CellRanges& ranges) {
  Json json = Json::array();
  for (const auto& [begin, end] : ranges) json.push_back({begin, end});
  return json;
}

CellRanges ranges_from_json(const Json& json) {
  CellRanges ranges;
  for (const auto& range : json)
    ranges.push_back(
        {value_of<int32_t>(range.at(0), "forced_cells"), value_of<int32_t>(range.at(1), "forced_cells")});
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
  return {scores.front().second, candidate, constant, pruned};
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
  if (row.pruned)
    json["pruned"] = true;
  else if (row.scored())
    json["constant"] = row.constant;
  json["tokens"] = row.tokens;
  return json.dump();
}

ResultRow parse_row(std::string_view line, const std::string& where) {
  ResultRow row;
  try {
    const auto json = Json::parse(line);
    row.rank = value_or(json, "rank", -1);
    row.candidate = value_of<uint32_t>(json.at("candidate"), "candidate");
    row.seed = value_of<uint64_t>(json.at("seed"), "seed");
    row.file = value_or(json, "file", std::string());
    if (json.contains("scores"))
      for (const auto& [name, value] : json.at("scores").items())
        row.scores.emplace_back(name, value_of<double>(value, name));
    row.log_likelihood = value_of<double>(json.at("log_likelihood"), "log_likelihood");
    row.forced_log_likelihood = value_or(json, "forced_log_likelihood", 0.0);
    row.sampled_cells = value_of<int32_t>(json.at("sampled_cells"), "sampled_cells");
    if (json.contains("forced_cells")) row.forced = ranges_from_json(json.at("forced_cells"));
    row.constant = value_or(json, "constant", false);
    row.pruned = value_or(json, "pruned", false);
    row.tokens = value_of<std::vector<int32_t>>(json.at("tokens"), "tokens");
  } catch (const nlohmann::json::exception& error) {
    fail(ErrorKind::input, "{}: not a row of results: {}", where, error.what());
  } catch (const Error& error) {
    fail(ErrorKind::input, "{}: not a row of results: {}", where, error);
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
  TextLines lines(path);
  std::vector<ResultRow> rows;
  for (std::string line; lines.next(line);)
    if (!is_blank(line)) rows.push_back(parse_row(line, lines.where()));
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
