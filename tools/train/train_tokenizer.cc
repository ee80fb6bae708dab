// dalle1 train tokenizer: a BPE model from captions.
#include <fmt/format.h>

#include <deque>
#include <nlohmann/json.hpp>

#include "core/data/caption_text.h"
#include "core/data/data_lines.h"
#include "core/data/pair_fields.h"
#include "core/data/pair_source.h"
#include "core/io/atomic_file.h"
#include "core/text/train_sentencepiece.h"
#include "tools/program/command.h"
#include "tools/train/data_report.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

struct TokenizerOptions {
  std::string data, out;
  int vocab = 16384;
};

// Where captions come from, one by one.
class Captions {
 public:
  virtual ~Captions() = default;
  /// Error(input) that names the file and the place of one that cannot be read.
  virtual std::optional<std::string> next() = 0;
};

// The lines of a text file, or the rows of a captions.jsonl, which here need no picture.
class CaptionLines : public Captions {
 public:
  explicit CaptionLines(const fs::path& file) : lines_(file), json_(lower_ending(file.string()) == "jsonl") {}

  std::optional<std::string> next() override {
    if (!row_.empty()) return take();
    const auto line = lines_.next();
    if (!line) return std::nullopt;
    if (!json_) return caption_of_text(*line, lines_.where());
    auto captions = captions_of(parse_json_object(*line, lines_.where()), lines_.where());
    check(captions.has_value(), ErrorKind::input, "{}: no \"caption\" with a text", lines_.where());
    row_.assign(captions->begin(), captions->end());
    return row_.empty() ? "" : take();
  }

 private:
  std::string take() {
    std::string caption = std::move(row_.front());
    row_.pop_front();
    return caption;
  }

  DataLines lines_;
  bool json_;
  std::deque<std::string> row_;  // what is left of it
};

// Those of pictures.
class PairCaptions : public Captions {
 public:
  explicit PairCaptions(std::unique_ptr<PairSource> pairs) : pairs_(std::move(pairs)) {}
  std::optional<std::string> next() override {
    if (next_ == pairs_->size()) return std::nullopt;
    return pairs_->caption(next_++);
  }

 private:
  std::unique_ptr<PairSource> pairs_;
  uint64_t next_ = 0;
};

std::unique_ptr<Captions> open_captions(const std::string& where, DataReport& report) {
  std::error_code unreadable;  // then opening it says why
  const bool folder = fs::is_directory(where, unreadable);
  const fs::path file = folder ? captions_file_in(where) : fs::path(where);
  const bool shards = !folder && (lower_ending(where) == "tar" || !fs::exists(where, unreadable));
  if (!file.empty() && !shards) return std::make_unique<CaptionLines>(file);
  auto pairs = open_pairs(where);
  report.add({.left_out = pairs->summary().left_out});
  return std::make_unique<PairCaptions>(std::move(pairs));
}

int train_tokenizer(const TokenizerOptions& options, const CommonOptions& common) {
  DataReport report(common);
  const auto captions = open_captions(options.data, report);
  text::SentencePieceTraining training;
  training.vocab_size = options.vocab;
  DataSummary read;
  const auto next = [&] {
    auto caption = captions->next();
    if (caption) ++read.samples;
    if (caption && caption->empty()) ++read.without_caption;
    return caption;
  };
  const std::string model = text::train_sentencepiece(next, training);
  write_file_atomically(options.out, model);
  report.add(read);
  report.print();
  if (common.json)
    fmt::print("{}\n",
               json_text({{"file", options.out}, {"vocab", options.vocab}, {"data", report.json()}}, -1));
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
                           "captions.jsonl, a folder or tar shards of pictures with captions, or a text file "
                           "with a caption a line")
                ->required();
            app.add_option("--vocab", options->vocab, "Tokens in all")
                ->check(CLI::Range(16, 1 << 20))
                ->capture_default_str();
            app.add_option("--out", options->out, "The file to write")->required();
            return [options, &common] { return train_tokenizer(*options, common); };
          }};
}

}  // namespace dalle1::tools
