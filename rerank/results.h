// Rows of results.jsonl: one candidate each, best first.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rerank/cell_ranges.h"
#include "rerank/top_k.h"

namespace dalle1::rerank {

using Json = nlohmann::ordered_json;

/// One line, for example
/// {"rank":0,"candidate":417,"seed":0,"file":"rank-000_candidate-0417.png","score":0.31,"scores":{"clip":0.31},
///  "log_likelihood":-2931.5,"forced_log_likelihood":0.0,
///  "sampled_cells":1024,"constant":false,"tokens":[...]}.
/// rank and file are absent in the files under tokens/, file also where the picture was not kept. Where cells
/// were forced, "forced_cells":[[0,512],...] has them as ranges [begin, end); version 0.1 did not say which.
/// A candidate that was pruned has "pruned":true instead of "constant", and the scores of the judges that
/// read tokens alone.
struct ResultRow {
  int rank = -1;  ///< 0 is the best; -1 before ranking
  uint32_t candidate = 0;
  uint64_t seed = 0;
  std::string file;  ///< Name inside the run's folder; empty when not kept.
  std::vector<std::pair<std::string, double>>
      scores;                        ///< By column, the first one ranks; empty before scoring.
  double log_likelihood = 0;         ///< nats over sampled cells
  double forced_log_likelihood = 0;  ///< nats over forced cells
  int32_t sampled_cells = 0;         ///< cells that were not forced
  CellRanges forced;                 ///< the others
  bool constant = false;             ///< The picture has one colour.
  bool pruned = false;               ///< The picture was not looked at.
  std::vector<int32_t> tokens;       ///< [G * G]

  bool scored() const { return !scores.empty(); }
  /// Whether `forced` accounts for all tokens: not so in a completion by version 0.1.
  bool says_forced() const { return static_cast<size_t>(sampled_cells + count_of(forced)) == tokens.size(); }
  Standing standing() const;  ///< Error(internal) before scoring.
};

/// One line without the line break.
std::string to_line(const ResultRow& row);
/// The inverse. Error(input) that begins with `where` (file and line) and says what is wrong.
ResultRow parse_row(std::string_view line, const std::string& where);

/// All rows of a file in its order. Error(input) that names file and line.
std::vector<ResultRow> read_results(const std::filesystem::path& path);

/// What a sheet says under a kept picture: "#0 candidate 417  0.90", or where that does not fit "#0  0.90".
std::string caption_of(const ResultRow& row);
std::string brief_caption_of(const ResultRow& row);

/// Name of a kept picture's file: rank-000_candidate-0417.png.
std::string picture_name(int rank, uint32_t candidate);

}  // namespace dalle1::rerank
