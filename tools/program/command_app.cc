#include "tools/program/command_app.h"

#include <fmt/format.h>

#include <memory>

#include "tools/program/ranks.h"

namespace dalle1::tools {
namespace {

std::string indented(const std::string& text) {
  std::string out = "  ";
  for (const char c : text) {
    out += c;
    if (c == '\n') out += "  ";
  }
  return out;
}

// The options of a help: their value by one letter or word and what it is without one. Limits are told where
// they are broken.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option_opts(const CLI::Option* option) const override {
    if (option->get_type_size() == 0) return "";
    auto text = " " + value_text(*option);
    if (!option->get_default_str().empty()) text += fmt::format(" [{}]", option->get_default_str());
    if (option->get_required()) text += " (required)";
    return text;
  }
};

}  // namespace

CommandApp::CommandApp(const Command& command)
    : app(fmt::format("Example:\n{}\n\n{}", indented(command.example), command.summary),
          "dalle1 " + command.name) {
  app.formatter(std::make_shared<HelpFormatter>());
  app.get_formatter()->column_width(30);
  app.option_defaults()->always_capture_default(false);
  app.set_help_flag("-h,--help", "Print this help and stop");
  action = command.declare(app, common_);
  add_common_options(app, common_);
  if (!command.on_ranks) return;
  add_rank_options(app, common_);
  action = [this, run = std::move(action)] {
    watch_job(common_.rank_timeout);
    return run();
  };
}

std::string value_text(const CLI::Option& option) {
  if (option.get_type_size() == 0) return "";
  std::string type = option.get_type_name();
  type = type.substr(0, type.find_first_of(":{"));
  const bool whole = type == "INT" || type == "UINT";
  auto text = whole ? std::string("N") : type == "FLOAT" ? std::string("X") : type;
  const auto one = text.substr(0, 1);
  for (int i = 1; i < option.get_expected_min(); ++i) text += "," + one;
  if (option.get_expected_max() > CLI::detail::expected_max_vector_size / 2) text += ",...";
  return text;
}

// CLI11 appends what a check of membership allows to the type: "TEXT:{auto,plain,json,none}".
std::vector<std::string> allowed_values(const CLI::Option& option) {
  const auto type = option.get_type_name();
  const auto begin = type.find('{'), end = type.rfind('}');
  if (begin == type.npos || end == type.npos || end < begin) return {};
  return CLI::detail::split(type.substr(begin + 1, end - begin - 1), ',');
}

}  // namespace dalle1::tools
