// dalle1 inspect: the metadata that a picture carries.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/image/png.h"
#include "tools/program/command.h"

namespace dalle1::tools {
namespace {

// Metadata comes from the file: it must not be able to drive the terminal.
std::string printable(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    // U+0080 to U+009F, the second block of control characters, are C2 80 to C2 9F in UTF-8.
    const bool second_block =
        byte == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f)
      out += fmt::format("\\x{:02x}", byte);
    else if (second_block)
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[++i]));
    else
      out += text[i];
  }
  return out;
}

int inspect(const std::string& path, bool as_json) {
  const auto texts = read_png_text(path);
  if (as_json) {
    nlohmann::ordered_json document = nlohmann::ordered_json::object();
    for (const auto& entry : texts) {
      const auto parsed = nlohmann::ordered_json::parse(entry.text, nullptr, false);
      const bool structured = parsed.is_object() || parsed.is_array();
      document[entry.keyword] = structured ? parsed : nlohmann::ordered_json(entry.text);
    }
    fmt::print("{}\n", json_text(document));
    return 0;
  }
  if (texts.empty()) fmt::print("{} carries no metadata\n", path);
  for (const auto& entry : texts) {
    const auto parsed = nlohmann::ordered_json::parse(entry.text, nullptr, false);
    const bool structured = parsed.is_object() || parsed.is_array();
    fmt::print("{}:\n{}\n", entry.keyword, printable(structured ? parsed.dump(2) : entry.text));
  }
  return 0;
}

}  // namespace

Command inspect_command() {
  return {"inspect", "Print the metadata in a PNG", "dalle1 inspect dalle1-out/a-red-circle-0/grid.png",
          [](CLI::App& app, CommonOptions& common) {
            auto path = std::make_shared<std::string>();
            app.add_option("picture", *path, "A PNG file")->required();
            return [path, &common] { return inspect(*path, common.json); };
          }};
}

}  // namespace dalle1::tools
