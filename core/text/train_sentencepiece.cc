#include "core/text/train_sentencepiece.h"

#include <sentencepiece_trainer.h>

#include <algorithm>
#include <exception>
#include <unordered_map>

#include "core/error.h"
#include "core/text/unicode.h"
#include "core/text/utf8.h"

namespace dalle1::text {
namespace {

constexpr size_t longest_caption = 65536;  // bytes

// Captions as the trainer wants them. What a caption throws is kept until the library has returned.
class CaptionIterator final : public sentencepiece::SentenceIterator {
 public:
  explicit CaptionIterator(const NextCaption& next) : next_(next) { Next(); }

  bool done() const override { return done_; }
  const std::string& value() const override { return caption_; }
  sentencepiece::util::Status status() const override { return {}; }

  void Next() override {
    try {
      advance();
    } catch (...) {
      problem_ = std::current_exception();
      done_ = true;
    }
  }

  void rethrow() const {
    if (problem_) std::rethrow_exception(problem_);
    check(used_ > 0, ErrorKind::input, "there is no caption to train a tokenizer on");
  }

 private:
  void advance() {
    while (true) {
      std::optional<std::string> caption = next_();
      done_ = !caption;
      if (done_) return;
      ++read_;
      if (strip(to_code_points(*caption, fmt::format("caption {}", read_))).empty()) continue;
      // The library would leave it out without a word.
      check(
          caption->size() <= longest_caption, ErrorKind::input,
          "caption {} has {} bytes; a tokenizer is trained on captions of at most {}: shorten it or leave it "
          "out",
          read_, caption->size(), longest_caption);
      ++used_;
      caption_ = std::move(*caption);
      return;
    }
  }

  const NextCaption& next_;
  std::string caption_;
  size_t read_ = 0, used_ = 0;
  bool done_ = false;
  std::exception_ptr problem_;
};

std::unordered_map<std::string, std::string> trainer_options(const SentencePieceTraining& training) {
  return {{"model_type", "bpe"},
          {"vocab_size", std::to_string(training.vocab_size)},
          {"character_coverage", fmt::format("{}", training.character_coverage)},
          {"split_digits", training.split_digits ? "true" : "false"},
          {"normalization_rule_name", "nmt_nfkc_cf"},
          {"pad_id", "0"},
          {"unk_id", "1"},
          {"bos_id", "2"},
          {"eos_id", "3"},
          {"num_threads", "1"},
          {"max_sentence_length", std::to_string(longest_caption)},
          {"minloglevel", "4"}};  // silent: what went wrong is in the status
}

// What is wrong in "file.cc(line) [condition] what is wrong"; the condition where nothing more is said.
std::string_view reason_in(std::string_view message) {
  const size_t end = message.rfind(']');
  if (end == message.npos) return message;
  const std::string_view said = message.substr(end + 1);
  const size_t start = said.find_first_not_of(' ');
  return start == said.npos ? message.substr(std::min(message.find('['), end)) : said.substr(start);
}

}  // namespace

std::string train_sentencepiece(const NextCaption& next, const SentencePieceTraining& training) {
  check(training.vocab_size >= 8, ErrorKind::usage, "a vocabulary of {} is too small", training.vocab_size);
  check(training.character_coverage >= 0.98 && training.character_coverage <= 1, ErrorKind::usage,
        "character coverage {} is outside 0.98 to 1", training.character_coverage);
  CaptionIterator captions(next);
  captions.rethrow();
  std::string model;
  const auto status =
      sentencepiece::SentencePieceTrainer::Train(trainer_options(training), &captions, &model);
  captions.rethrow();
  if (!status.ok()) {
    fail(ErrorKind::input, "a tokenizer of {} pieces cannot be trained on these captions: {}",
         training.vocab_size, reason_in(status.error_message()));
  }
  return model;
}

}  // namespace dalle1::text
