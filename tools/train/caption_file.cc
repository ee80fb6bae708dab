#include "tools/train/caption_file.h"

#include "core/error.h"
#include "core/io/atomic_file.h"
#include "core/io/text_file.h"
#include "core/json.h"
#include "tools/program/options.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;

Json batch_of(const std::string& text, const std::string& where) {
  Json batch = Json::parse(text, nullptr, false);
  const bool whole = batch.is_object() && batch.contains("next") && batch.contains("broken") &&
                     batch.contains("lines") && batch["lines"].is_array();
  check(whole, ErrorKind::input, "{}: not the progress of this command; begin anew with --overwrite", where);
  return batch;
}

}  // namespace

CaptionFile::CaptionFile(fs::path out, nlohmann::json settings, Existing existing)
    : out_(std::move(out)), progress_(out_.string() + ".progress"), settings_(std::move(settings)) {
  check(!fs::is_directory(out_), ErrorKind::output, "{} is a folder", out_.string());
  const bool used = fs::exists(out_) || fs::exists(progress_);
  check(!used || existing != Existing::refuse, ErrorKind::usage,
        "{} is there already: use --resume to go on, --overwrite to start again, or another --out",
        fs::exists(out_) ? out_.string() : progress_.string());
  if (existing == Existing::resume && used)
    take_up();
  else
    begin();
}

void CaptionFile::begin() {
  std::error_code none;
  fs::remove(out_, none);
  write_file_atomically(progress_, json_text({{"settings", settings_}}, -1) + "\n");
  open_to_append();
}

void CaptionFile::check_settings(const nlohmann::json& saved) const {
  for (const auto& [name, value] : settings_.items()) {
    const auto before = saved.value(name, nlohmann::json());
    check(before == value, ErrorKind::usage,
          "--resume: '{}' was {} in {}, and is {} now; use the same or begin anew with --overwrite", name,
          json_text(before, -1), progress_.string(), json_text(value, -1));
  }
}

// A kill may leave half a line at the end.
void CaptionFile::take_up() {
  check(fs::exists(progress_), ErrorKind::usage,
        "{} was not made by this command, or {} is missing: begin anew with --overwrite", out_.string(),
        progress_.string());
  TextLines lines(progress_);
  std::string text;
  lines.next(text);
  const Json head = Json::parse(text, nullptr, false);
  check(head.is_object() && head.contains("settings"), ErrorKind::input,
        "{}: not the progress of this command; begin anew with --overwrite", lines.where());
  check_settings(head["settings"]);
  complete_ = head.contains("captions") && fs::exists(out_);
  if (complete_) {
    captions_ = value_of<uint64_t>(head["captions"], "captions");
    broken_ = value_of<uint64_t>(head.at("broken"), "broken");
    return;
  }
  uint64_t whole = lines.offset();
  while (lines.next(text) && lines.ended()) {
    count(batch_of(text, lines.where()));
    whole = lines.offset();
  }
  std::error_code error;
  fs::resize_file(progress_, whole, error);
  check(!error, ErrorKind::output, "{}: {}", progress_.string(), error.message());
  open_to_append();
}

void CaptionFile::count(const Json& batch) {
  next_ = value_of<uint64_t>(batch.at("next"), "next");
  broken_ += value_of<uint64_t>(batch.at("broken"), "broken");
  captions_ += batch.at("lines").size();
}

void CaptionFile::open_to_append() {
  file_.open(progress_, std::ios::app | std::ios::binary);
  check(file_.good(), ErrorKind::output, "{}: cannot be written", progress_.string());
}

void CaptionFile::add(uint64_t next, uint64_t broken, const std::vector<Json>& lines) {
  const Json batch = {{"next", next}, {"broken", broken}, {"lines", lines}};
  file_ << json_text(batch, -1) << '\n' << std::flush;
  check(file_.good(), ErrorKind::output, "{}: cannot be written; is the disk full?", progress_.string());
  count(batch);
}

void CaptionFile::finish() {
  file_.close();
  AtomicFile out(out_);
  TextLines lines(progress_);
  std::string text;
  lines.next(text);
  while (lines.next(text)) {
    const Json batch = batch_of(text, lines.where());
    for (const Json& line : batch.at("lines")) out.write(json_text(line, -1) + "\n");
  }
  out.commit();
  const Json done = {{"settings", settings_}, {"captions", captions_}, {"broken", broken_}};
  write_file_atomically(progress_, json_text(done, -1) + "\n");
  complete_ = true;
}

}  // namespace dalle1::tools
