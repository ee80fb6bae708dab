// dalle1 train tokenizer: a BPE model from captions.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/data/atomic_file.h"
#include "core/data/text_file.h"
#include "core/json.h"
#include "core/text/train_sentencepiece.h"
#include "tools/command.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

struct TokenizerOptions {
  std::string data, out;
  int vocab = 16384;
};

// Captions of a captions.jsonl, whose captions may be lists, one by one; of any other file its lines.
class Captions {
 public:
  explicit Captions(const fs::path& where)
      : path_(fs::is_directory(where) ? where / "captions.jsonl" : where), lines_(path_) {}

  std::optional<std::string> next() {
    while (pending_.empty()) {
      std::string line;
      if (!lines_.next(line)) return std::nullopt;
      if (path_.extension() == ".jsonl") {
        read_json(line);
      } else {
        pending_.push_back(line);
      }
    }
    std::string caption = std::move(pending_.back());
    pending_.pop_back();
    return caption;
  }

 private:
  void read_json(const std::string& line) {
    if (is_blank(line)) return;
    const auto row = parse_json(line, path_.string(), ErrorKind::input, lines_.number());
    const auto caption = row.is_object() && row.contains("caption") ? row["caption"] : nlohmann::json();
    check(caption.is_string() || caption.is_array(), ErrorKind::input, "{} has no caption", lines_.where());
    if (caption.is_string()) {
      pending_.push_back(caption);
      return;
    }
    for (const auto& each : caption) {
      check(each.is_string(), ErrorKind::input, "{} has a caption that is no text", lines_.where());
      pending_.push_back(each);
    }
  }

  fs::path path_;
  TextLines lines_;
  std::vector<std::string> pending_;
};

int train_tokenizer(const TokenizerOptions& options, const CommonOptions& common) {
  Captions captions(options.data);
  text::SentencePieceTraining training;
  training.vocab_size = options.vocab;
  const std::string model = text::train_sentencepiece([&] { return captions.next(); }, training);
  write_file_atomically(options.out, model);
  if (common.json)
    fmt::print("{}\n", json_text({{"file", options.out}, {"vocab", options.vocab}}, -1));
  else
    fmt::print("{}\n", options.out);
  return 0;
}

}  // namespace

Command train_tokenizer_command() {
  return {"train tokenizer", "Train a BPE tokenizer on captions",
          "dalle1 train tokenizer --data captions.jsonl --vocab 16384 --out text.model",
          [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<TokenizerOptions>();
            app.add_option("--data", options->data,
                           "captions.jsonl, a folder that has one, or a text file with a caption a line")
                ->required();
            app.add_option("--vocab", options->vocab, "Tokens in all")
                ->check(CLI::Range(16, 1 << 20))
                ->capture_default_str();
            app.add_option("--out", options->out, "The file to write")->required();
            return [options, &common] { return train_tokenizer(*options, common); };
          }};
}

}  // namespace dalle1::tools
