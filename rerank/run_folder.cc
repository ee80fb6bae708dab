#include "rerank/run_folder.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/io/atomic_file.h"
#include "core/io/text_file.h"
#include "rerank/generation_options.h"

namespace dalle1::rerank {
namespace fs = std::filesystem;
namespace {

bool starts_with(const std::string& text, std::string_view prefix) { return text.rfind(prefix, 0) == 0; }
bool ends_with(const std::string& text, std::string_view suffix) {
  return text.size() >= suffix.size() &&
         text.compare(text.size() - suffix.size(), suffix.size(), suffix) == 0;
}

bool is_picture(const std::string& name) { return starts_with(name, "rank-") && ends_with(name, ".png"); }

/// Whether a run writes files of this name. A name with a dot in front and six characters behind is a
/// temporary file of AtomicFile that a kill left.
bool belongs_to_a_run(const std::string& name) {
  if (name.size() > 8 && name[0] == '.' && name[name.size() - 7] == '.')
    return belongs_to_a_run(name.substr(1, name.size() - 8));
  return name == "run.json" || name == "results.jsonl" || name == "grid.png" || name == "tokens" ||
         is_picture(name) || starts_with(name, "prompt-") ||
         (starts_with(name, "wave-") && ends_with(name, ".jsonl"));
}

bool is_leftover(const std::string& name) { return name[0] == '.' && belongs_to_a_run(name); }

void remove_leftovers(const fs::path& folder) {
  if (!fs::exists(folder)) return;
  for (const auto& entry : fs::directory_iterator(folder))
    if (is_leftover(entry.path().filename().string())) fs::remove(entry.path());
}

// Before run.json is there a run has made its folder for tokens and nothing else.
bool has_not_begun(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().filename() != "tokens" || !fs::is_empty(entry.path())) return false;
  return true;
}

Json read_run(const fs::path& path) {
  auto json = Json::parse(read_text(path), nullptr, false);
  check(json.is_object() && json.contains("options") && json.contains("status"), ErrorKind::input,
        "{}: not the record of a run", path.string());
  json["options"] = by_field_names(json["options"]);
  return json;
}

// Whatever a path has: bytes that are not UTF-8 become U+FFFD.
std::string json_text(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

void check_same_options(const Json& record, const Json& now, const fs::path& folder) {
  const Json before = with_defaults(record, now);
  for (const auto& [name, value] : now.items()) {
    const auto earlier = before.contains(name) ? before[name] : Json();
    check(earlier == value, ErrorKind::usage,
          "{}: {} was {} and is {} now, which would change the result; resume with the same value or use "
          "{}",
          folder.string(), OptionName{name}, json_text(earlier), json_text(value), OptionName{"overwrite"});
  }
  // A command with options of its own began it: its candidates are not those of this one.
  for (const auto& [name, value] : before.items())
    check(now.contains(name), ErrorKind::usage,
          "{}: the run has {} {}, which this command does not give; resume with the command that began it or "
          "use {}",
          folder.string(), OptionName{name}, json_text(value), OptionName{"overwrite"});
}

}  // namespace

void check_folder(const fs::path& folder, Existing existing) {
  try {
    if (!fs::exists(folder)) return;
    check(fs::is_directory(folder), ErrorKind::output, "{} is there and is not a folder", folder.string());
    if (existing == Existing::refuse)
      check(fs::is_empty(folder), ErrorKind::usage,
            "the output folder {} is not empty: use {} to go on, {} to start again, or another {}",
            folder.string(), OptionName{"resume"}, OptionName{"overwrite"}, OptionName{"out"});
  } catch (const fs::filesystem_error& error) {
    fail(ErrorKind::output, "{}: {}", folder.string(), error.code().message());
  }
}

void prepare_folder(const fs::path& folder, Existing existing) {
  check_folder(folder, existing);
  try {
    fs::create_directories(folder);
    if (existing != Existing::overwrite) return;
    std::vector<fs::path> ours;
    for (const auto& entry : fs::directory_iterator(folder))
      if (belongs_to_a_run(entry.path().filename().string())) ours.push_back(entry.path());
    for (const auto& path : ours) fs::remove_all(path);
  } catch (const fs::filesystem_error& error) {
    fail(ErrorKind::output, "{}: {}", folder.string(), error.code().message());
  }
}

Json by_field_names(const Json& options) {
  Json named = Json::object();
  for (const auto& [name, value] : options.items()) {
    const bool flag = starts_with(name, "--");
    std::string field = name.substr(flag ? 2 : 0);
    if (flag) std::replace(field.begin(), field.end(), '-', '_');
    named[field] = value;
  }
  return named;
}

Json with_defaults(const Json& before, const Json& now) {
  const Json defaults = GenerationOptions().result_options();
  Json completed = Json::object();
  for (const auto& [name, value] : now.items()) {
    if (before.contains(name)) {
      completed[name] = before[name];
    } else if (defaults.contains(name)) {
      completed[name] = defaults[name];
    }
  }
  for (const auto& [name, value] : before.items())
    if (!completed.contains(name)) completed[name] = value;
  return completed;
}

Json options_of_run(const fs::path& folder) {
  const auto path = folder / "run.json";
  return fs::exists(path) ? read_run(path)["options"] : Json::object();
}

RunFolder::RunFolder(fs::path folder, Existing existing, Json options, Json record)
    : path_(std::move(folder)), options_(std::move(options)), record_(std::move(record)) {
  prepare_folder(path_, existing);
  try {
    if (existing == Existing::resume) {
      remove_leftovers(path_);
      remove_leftovers(path_ / "tokens");
      if (fs::exists(path_ / "run.json")) {
        earlier_ = read_run(path_ / "run.json");
        check_same_options(earlier_["options"], options_, path_);
        done_ = earlier_["status"] == "done";
      } else {
        check(has_not_begun(path_), ErrorKind::usage,
              "{} has files but no run.json: there is no run to resume", path_.string());
      }
    }
    fs::create_directories(path_ / "tokens");
  } catch (const fs::filesystem_error& error) {
    fail(ErrorKind::output, "{}: {}", path_.string(), error.code().message());
  }
  if (existing == Existing::resume) read_saved_waves();
}

void RunFolder::read_saved_waves() {
  for (const auto& entry : fs::directory_iterator(path_ / "tokens")) {
    const auto name = entry.path().filename().string();
    if (starts_with(name, "wave-") && ends_with(name, ".jsonl")) waves_.push_back(entry.path());
  }
  std::sort(waves_.begin(), waves_.end());
  for (const auto& file : waves_) index_wave(file);
}

void RunFolder::index_wave(const fs::path& file) {
  TextLines lines(file);
  size_t offset = 0;
  for (std::string line; lines.next(line); offset = lines.offset()) {
    const auto row = parse_row(line, lines.where());
    saved_[row.candidate] = {file, offset};
  }
}

void RunFolder::save_wave(const std::vector<ResultRow>& rows) {
  check(!rows.empty(), ErrorKind::internal, "a wave without candidates");
  const auto file = path_ / "tokens" / fmt::format("wave-{:06}.jsonl", rows.front().candidate);
  std::string text;
  for (const auto& row : rows) {
    saved_[row.candidate] = {file, text.size()};
    text += to_line(row) + '\n';
  }
  write_file_atomically(file, text);
}

SavedWave RunFolder::saved_wave(size_t number) const {
  SavedWave wave{waves_[number].string(), read_results(waves_[number])};
  check(!wave.rows.empty(), ErrorKind::input, "{}: no candidates in it", wave.where);
  return wave;
}

std::optional<std::vector<ResultRow>> RunFolder::finished() const {
  if (!done_ || !fs::exists(sheet_path()) || !fs::exists(path_ / "results.jsonl")) return std::nullopt;
  auto rows = read_results(path_ / "results.jsonl");
  for (auto& row : rows) {
    if (!row.file.empty() && !fs::exists(path_ / row.file)) return std::nullopt;
    row.tokens.clear();
  }
  return rows;
}

RunCost RunFolder::earlier_cost() const {
  try {
    return cost_from_json(earlier_);
  } catch (const Json::exception& error) {
    fail(ErrorKind::input, "{}: its cost cannot be read: {}", (path_ / "run.json").string(), error.what());
  }
}

ResultRow RunFolder::load(uint32_t candidate) const {
  const auto& place = saved_.at(candidate);
  TextLines lines(place.file, place.offset);
  const auto where = fmt::format("{} byte {}", place.file.string(), place.offset);
  std::string line;
  check(lines.next(line), ErrorKind::input, "{}: nothing there any more", where);
  return parse_row(line, where);
}

void RunFolder::picture(const ResultRow& row, const Image& picture, const std::vector<PngText>& texts) {
  write_png(path_ / row.file, picture, texts);
}

void RunFolder::sheet(const Image& sheet, const std::vector<PngText>& texts) {
  write_png(sheet_path(), sheet, texts);
}

void RunFolder::ranking(const std::vector<ResultRow>& rows) {
  std::set<std::string> named;
  AtomicFile file(path_ / "results.jsonl");
  for (auto row : rows) {
    row.tokens = tokens_of(row.candidate);
    file.write(to_line(row) + '\n');
    named.insert(row.file);
  }
  file.commit();
  std::vector<fs::path> stale;
  for (const auto& entry : fs::directory_iterator(path_)) {
    const auto name = entry.path().filename().string();
    if (is_picture(name) && !named.count(name)) stale.push_back(entry.path());
  }
  std::error_code error;
  for (const auto& path : stale) {
    fs::remove(path, error);
    check(!error, ErrorKind::output, "{}: cannot be removed: {}", path.string(), error.message());
  }
}

void RunFolder::state(const RunState& state) {
  Json json = {{"format", 1}, {"status", state.status}, {"options", options_}};
  json.update(record_);
  json["prompt"] = state.prompt;
  json["candidates_done"] = state.candidates_done;
  json["wave"] = state.wave;
  json.update(to_json(state.cost));
  write_file_atomically(path_ / "run.json", json_text(json, 2) + '\n');
}

}  // namespace dalle1::rerank
