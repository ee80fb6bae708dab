// dalle1 tokenize: the ids of texts.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/io/text_file.h"
#include "tools/models/models.h"
#include "tools/program/command.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

struct TokenizeOptions {
  std::vector<std::string> texts;
  std::string file;
};

// Merges and tokenizer models are text or gzip or protobuf; a CLIP model is a zip, safetensors or a folder.
bool is_tokenizer_file(const fs::path& path) {
  std::error_code unreadable;  // then opening it says why
  if (fs::is_directory(path, unreadable)) return false;
  uint8_t head[8] = {};
  const size_t got = InputFile(path, ErrorKind::model).read(head, 0);
  const std::string_view start(reinterpret_cast<const char*>(head), got);
  const bool gzip = start.starts_with("\x1f\x8b"), zip = start.starts_with("PK");
  return gzip || (!zip && start.find('\0') == std::string_view::npos);
}

std::unique_ptr<text::Tokenizer> open_wanted_tokenizer(const CommonOptions& common) {
  check(common.clip.empty() || common.tokenizer.empty(), ErrorKind::usage,
        "give --clip or --tokenizer, not both");
  if (common.clip.empty()) return open_text_tokenizer(common);
  if (is_tokenizer_file(common.clip.front())) return text::open_tokenizer(common.clip.front());
  return open_clip_tokenizer(common);
}

int tokenize(const TokenizeOptions& options, const CommonOptions& common) {
  const auto tokenizer = open_wanted_tokenizer(common);
  std::vector<std::string> texts = options.texts;
  if (!options.file.empty()) {
    TextLines lines(options.file);
    for (std::string line; lines.next(line);) texts.push_back(line);
  }
  check(!texts.empty(), ErrorKind::usage, "nothing to tokenize: give --print TEXT or --file FILE");
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const auto& text : texts) {
    const auto ids = tokenizer->encode(text);
    if (common.json) {
      all.push_back(ids);
    } else {
      fmt::print("{}\n", fmt::join(ids, " "));
    }
  }
  if (common.json) fmt::print("{}\n", json_text(all, -1));
  return 0;
}

}  // namespace

Command tokenize_command() {
  return {"tokenize", "Print the token ids of texts", "dalle1 tokenize --print \"a red circle\"",
          [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<TokenizeOptions>();
            add_model_options(app, common);
            app.add_option("--print", options->texts, "A text; may be repeated")->allow_extra_args(false);
            app.add_option("--file", options->file, "A file with one text a line");
            return [options, &common] { return tokenize(*options, common); };
          }};
}

}  // namespace dalle1::tools
