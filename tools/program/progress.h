// Progress on stderr: a bar on a terminal, plain lines every ten seconds elsewhere, JSON lines on request.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "tools/program/options.h"

namespace dalle1::tools {

/// One moment of a long job.
struct ProgressState {
  std::string stage;                   ///< One word: "sample", "train", ...
  double fraction = 0;                 ///< Done, in [0, 1].
  std::string figures;                 ///< For people: "1,234 tokens/s, 128/512 candidates".
  std::optional<double> seconds_left;  ///< Where it can be told.
  nlohmann::ordered_json event;  ///< For programs: the fields of the JSON line; "event" is put in front.
};

class ProgressPrinter {
 public:
  explicit ProgressPrinter(ProgressMode mode);
  /// Removes the bar, so that what follows begins on a clean line.
  ~ProgressPrinter();
  ProgressPrinter(const ProgressPrinter&) = delete;
  ProgressPrinter& operator=(const ProgressPrinter&) = delete;

  /// May be called as often as one likes; prints when it is time. `now` prints lines at once (the end of
  /// something).
  void update(const ProgressState& state, bool now = false);
  /// A line of its own for people, above the bar; nothing under json and none.
  void note(const std::string& text);

 private:
  enum class Style { bar, plain, json, none };
  static Style style_of(ProgressMode mode);
  void draw_bar(const ProgressState& state);
  void clear_bar();

  Style style_;
  bool colour_, unicode_;
  bool bar_is_drawn_ = false;
  double last_ = 0;  // seconds of the last output
  std::string stage_;
};

/// On stderr, a line for people, or `event` as a line under --progress json; nothing when quiet.
void tell(const CommonOptions& common, const nlohmann::ordered_json& event, const std::string& text);
/// The same for one of many inputs that is broken and left out.
void tell_skipped(const CommonOptions& common, const std::string& what);

/// "4.2 s" below ten seconds, then "2:31" and "1:02:31".
std::string duration_text(double seconds);
/// "1.2 GiB", "340 MiB".
std::string bytes_text(double bytes);
/// 12345678 as "12,345,678".
std::string grouped(int64_t number);

}  // namespace dalle1::tools
