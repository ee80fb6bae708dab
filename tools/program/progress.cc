#include "tools/program/progress.h"

#include <fmt/format.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>

#include "tools/program/standard_streams.h"

namespace dalle1::tools {
namespace {

constexpr double kBarSeconds = 0.1, kJsonSeconds = 1, kPlainSeconds = 10;

double now_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

bool variable_is_set(const char* name) {
  const char* value = getenv(name);
  return value && *value;
}

bool locale_is_utf8() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = getenv(name);
    if (!value || !*value) continue;
    const std::string text = value;
    return text.find("UTF-8") != std::string::npos || text.find("utf8") != std::string::npos;
  }
  return false;
}

int terminal_width() {
  winsize size = {};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

ProgressPrinter::Style ProgressPrinter::style_of(ProgressMode mode) {
  if (mode == ProgressMode::none) return Style::none;
  if (mode == ProgressMode::json) return Style::json;
  const char* terminal = getenv("TERM");
  const bool dumb = !terminal || std::string_view(terminal) == "dumb";
  return mode == ProgressMode::automatic && isatty(STDERR_FILENO) && !dumb ? Style::bar : Style::plain;
}

ProgressPrinter::ProgressPrinter(ProgressMode mode)
    : style_(style_of(mode)),
      colour_(!variable_is_set("NO_COLOR")),
      unicode_(locale_is_utf8()),
      last_(now_seconds()) {}

ProgressPrinter::~ProgressPrinter() { clear_bar(); }

void ProgressPrinter::update(const ProgressState& state, bool now) {
  if (style_ == Style::none) return;
  const double wait = style_ == Style::bar    ? kBarSeconds
                      : style_ == Style::json ? kJsonSeconds
                                              : kPlainSeconds;
  const double time = now_seconds();
  if (!now && time - last_ < wait && !(style_ == Style::bar && state.stage != stage_)) return;
  last_ = time;
  stage_ = state.stage;
  if (style_ == Style::bar) {
    draw_bar(state);
  } else if (style_ == Style::json) {
    nlohmann::ordered_json line = {
        {"event", "progress"}, {"stage", state.stage}, {"fraction", state.fraction}};
    if (state.seconds_left) line["seconds_left"] = *state.seconds_left;
    line.update(state.event);
    write_stderr(json_text(line, -1) + "\n");
  } else {
    const auto left = state.seconds_left ? fmt::format(", {} left", duration_text(*state.seconds_left)) : "";
    write_stderr(fmt::format("{}: {:.0f}%, {}{}\n", state.stage, 100 * state.fraction, state.figures, left));
  }
}

void ProgressPrinter::note(const std::string& text) {
  if (style_ == Style::none || style_ == Style::json) return;
  clear_bar();
  write_stderr(text + "\n");
}

void ProgressPrinter::draw_bar(const ProgressState& state) {
  constexpr int kMostCells = 30;
  const auto left = state.seconds_left ? fmt::format("  {} left", duration_text(*state.seconds_left)) : "";
  const auto tail = fmt::format(" {:3.0f}%  {}{}", 100 * state.fraction, state.figures, left);
  const auto head = fmt::format("{:<8}", state.stage);
  const int room = terminal_width() - 1 - static_cast<int>(head.size() + tail.size()) - 2;
  const int cells = std::clamp(room, 0, kMostCells);
  const int full = static_cast<int>(std::lround(std::clamp(state.fraction, 0.0, 1.0) * cells));
  std::string bar;
  for (int i = 0; i < cells; ++i) {
    if (colour_ && i == 0) bar += "\033[36m";
    if (colour_ && i == full) bar += "\033[2m";
    bar += unicode_ ? (i < full ? "\u2588" : "\u2591") : (i < full ? "#" : "-");
  }
  if (colour_ && cells > 0) bar += "\033[0m";
  auto line = head + bar + tail;
  if (room < 0) line = line.substr(0, static_cast<size_t>(terminal_width() - 1));
  write_stderr(fmt::format("\r{}\033[K", line));
  bar_is_drawn_ = true;
}

void ProgressPrinter::clear_bar() {
  if (!bar_is_drawn_) return;
  write_stderr("\r\033[K");
  bar_is_drawn_ = false;
}

void tell(const CommonOptions& common, const nlohmann::ordered_json& event, const std::string& text) {
  const auto mode = common.progress_mode();
  if (mode != ProgressMode::none)
    write_stderr((mode == ProgressMode::json ? json_text(event, -1) : text) + "\n");
}

void tell_skipped(const CommonOptions& common, const std::string& what) {
  tell(common, {{"event", "skipped"}, {"text", what}}, "skipped: " + what);
}

std::string duration_text(double seconds) {
  if (seconds < 9.95) return fmt::format("{:.1f} s", std::max(0.0, seconds));
  const auto whole = static_cast<int64_t>(std::ceil(std::max(0.0, seconds)));
  const auto hours = whole / 3600, minutes = whole / 60 % 60;
  if (hours > 0) return fmt::format("{}:{:02}:{:02}", hours, minutes, whole % 60);
  return fmt::format("{}:{:02}", minutes, whole % 60);
}

std::string bytes_text(double bytes) {
  if (bytes >= 0x1p30) return fmt::format("{:.1f} GiB", bytes / 0x1p30);
  return fmt::format("{:.0f} MiB", std::ceil(bytes / 0x1p20));
}

std::string grouped(int64_t number) {
  auto digits = std::to_string(number);
  for (auto at = static_cast<int64_t>(digits.size()) - 3; at > (number < 0 ? 1 : 0); at -= 3)
    digits.insert(static_cast<size_t>(at), ",");
  return digits;
}

}  // namespace dalle1::tools
