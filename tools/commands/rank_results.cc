#include "tools/commands/rank_results.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "core/io/text_file.h"
#include "rerank/results.h"
#include "rerank/wave_rows.h"
#include "tools/models/open_model_set.h"
#include "tools/program/progress.h"

namespace dalle1::tools {
namespace {

namespace fs = std::filesystem;
using rerank::ResultRow;

std::string prompt_of_run(const fs::path& results) {
  const auto path = results.parent_path() / "run.json";
  const auto run = fs::exists(path) ? nlohmann::json::parse(read_text(path), nullptr, false) : nullptr;
  const bool found = run.is_object() && run.contains("prompt") && run["prompt"].is_string();
  check(found, ErrorKind::usage, "{} does not tell the prompt of the run: give --prompt TEXT", path.string());
  return run["prompt"].get<std::string>();
}

int32_t forced_count(const ResultRow& row) {
  return static_cast<int32_t>(row.tokens.size()) - row.sampled_cells;
}

// Version 0.1 wrote how many cells a completion was given, but not which. The first ones are assumed: whole
// rows come first. Then all candidates have the same tokens there; where they differ, a region or a mask was
// redrawn.
void assume_forced(std::vector<ResultRow>& rows, const std::string& path, const CommonOptions& common) {
  const auto most = std::max_element(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
    return forced_count(a) < forced_count(b);
  });
  bool assumed = false;
  for (auto& row : rows) {
    if (row.says_forced()) continue;
    const auto count = forced_count(row);
    check(count > 0 && std::equal(row.tokens.begin(), row.tokens.begin() + count, most->tokens.begin()),
          ErrorKind::input,
          "{}: version 0.1 did not write which cells of a completion were given, and here they are not the "
          "first: draw it anew, or rank by clip alone",
          path);
    row.forced = {{0, count}};
    assumed = true;
  }
  if (!assumed) return;
  const auto note = path + ": which cells were given is not written there: the first ones are assumed";
  tell(common, {{"event", "note"}, {"text", note}}, note);
}

void check_rows(const std::vector<ResultRow>& rows, const rerank::ModelSet& models, const std::string& path) {
  check(!rows.empty(), ErrorKind::input, "{}: no candidates in it", path);
  for (const auto& row : rows) {
    check(static_cast<int>(row.tokens.size()) == models.config().cells(), ErrorKind::input,
          "{}: candidate {} has {} tokens, the model's grid {}", path, row.candidate, row.tokens.size(),
          models.config().cells());
    for (const auto token : row.tokens)
      check(token >= 0 && token < models.config().image_vocab, ErrorKind::input,
            "{}: candidate {} has the token {}, the model has codes 0 to {}", path, row.candidate, token,
            models.config().image_vocab - 1);
  }
}

// Fills in the scores; pictures and waves are dropped as it goes. Where the scorer reads no pictures none are
// decoded, and which have one colour is what the file says.
void score_rows(std::vector<ResultRow>& rows, rerank::ModelSet& models, const std::string& prompt,
                const RankResultsOptions& options, const CommonOptions& common) {
  constexpr size_t kWave = 32;
  const auto scorer = models.scorer(prompt, options.truncate);
  const auto likelihood = models.likelihood(prompt, options.truncate);
  if (likelihood) assume_forced(rows, options.results, common);
  for (size_t begin = 0; begin < rows.size(); begin += kWave) {
    const auto part = std::span(rows).subspan(begin, std::min(kWave, rows.size() - begin));
    auto wave = rerank::wave_of(part);
    if (likelihood) wave.log_likelihood = likelihood->log_likelihood(wave);
    std::vector<Image> pictures;
    if (scorer->reads_pictures())
      pictures = models.decoder().decode(wave.tokens, static_cast<int>(wave.size()));
    rerank::record_scores(part, *scorer, wave, pictures);
    for (size_t i = 0; i < part.size(); ++i) {
      if (!pictures.empty()) part[i].constant = is_constant(pictures[i]);
      part[i].pruned = false;
    }
  }
}

void print_rows(const std::vector<ResultRow>& rows) {
  std::string head = "rank  candidate";
  for (const auto& [name, value] : rows.front().scores) head += fmt::format("  {:>16}", name);
  fmt::print("{}  file\n", head);
  for (size_t rank = 0; rank < rows.size(); ++rank) {
    fmt::print("{:4}  {:9}", rank, rows[rank].candidate);
    for (const auto& [name, value] : rows[rank].scores) fmt::print("  {:16.6f}", value);
    fmt::print("  {}{}\n", rows[rank].file, rows[rank].constant ? "  (one colour)" : "");
  }
}

}  // namespace

int rank_results(const RankResultsOptions& options, const CommonOptions& common) {
  auto rows = rerank::read_results(options.results);
  const auto prompt = options.prompt.empty() ? prompt_of_run(options.results) : options.prompt;
  auto models = open_model_set(common, options.scorer);
  check_rows(rows, models, options.results);
  models.text_slots(prompt, options.truncate);
  models.load();
  score_rows(rows, models, prompt, options, common);
  check(!std::all_of(rows.begin(), rows.end(), [](const auto& row) { return row.constant; }),
        ErrorKind::model, "every picture has one colour only: there is nothing to rank");
  std::sort(rows.begin(), rows.end(),
            [](const auto& a, const auto& b) { return ranks_before(a.standing(), b.standing()); });
  if (!common.json) {
    print_rows(rows);
    return 0;
  }
  rerank::Json list = rerank::Json::array();
  for (size_t rank = 0; rank < rows.size(); ++rank) {
    rerank::Json entry = {{"rank", rank},
                          {"candidate", rows[rank].candidate},
                          {"file", rows[rank].file},
                          {"constant", rows[rank].constant}};
    for (const auto& [name, value] : rows[rank].scores) entry["scores"][name] = value;
    list.push_back(std::move(entry));
  }
  fmt::print("{}\n", json_text({{"prompt", prompt}, {"results", list}}));
  return 0;
}

}  // namespace dalle1::tools
