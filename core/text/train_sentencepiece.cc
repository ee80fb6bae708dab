#include "core/text/train_sentencepiece.h"

#include <sentencepiece_trainer.h>

#include <exception>
#include <unordered_map>

#include "core/error.h"
#include "core/text/unicode.h"
#include "core/text/utf8.h"

namespace dalle1::text {
namespace {

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
          {"max_sentence_length", "65536"},
          {"minloglevel", "4"}};  // silent: what went wrong is in the status
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
    std::string_view reason = status.error_message();  // "file.cc(line) [condition] what is wrong"
    if (const size_t end = reason.rfind("] "); end != reason.npos) reason.remove_prefix(end + 2);
    fail(ErrorKind::input, "a tokenizer of {} pieces cannot be trained on these captions: {}",
         training.vocab_size, reason);
  }
  return model;
}

}  // namespace dalle1::text
