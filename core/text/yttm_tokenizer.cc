#include "core/text/yttm_tokenizer.h"

#include <array>
#include <charconv>

#include "core/error.h"
#include "core/text/utf8.h"

namespace dalle1::text {
namespace {

constexpr char32_t word_mark = 0x2581;
// A piece may double with each rule: a short file could ask for terabytes.
constexpr size_t max_merged_bytes = 4096;
constexpr size_t max_total_bytes = 64 << 20;

bool separates(char32_t c) { return c == ' ' || (c >= '\t' && c <= '\r') || c == word_mark; }

}  // namespace

/// Builds a YttmTokenizer line by line.
class YttmReader {
 public:
  YttmReader(std::string_view text, const std::string& name) : rest_(text), name_(name) {}

  std::unique_ptr<Tokenizer> read() {
    const auto [characters, rules] = numbers<2>();
    // Every line has at least four bytes, so what the file claims is bounded by what it holds.
    check_line(characters > 0 && rules >= 0 && characters + rules <= static_cast<int64_t>(rest_.size() / 4),
               "claims more characters and rules than the file has");
    tokenizer_ = std::make_unique<YttmTokenizer>();
    tokenizer_->pieces_.resize(characters + rules + 4);
    for (int64_t i = 0; i < characters; ++i) read_character();
    for (int64_t i = 0; i < rules; ++i) read_rule(static_cast<int32_t>(i));
    read_special_ids();
    return std::move(tokenizer_);
  }

 private:
  void check_line(bool condition, std::string_view problem) const {
    check(condition, ErrorKind::model, "{}: line {} {}", name_, line_, problem);
  }

  template <size_t N>
  std::array<int64_t, N> numbers() {
    ++line_;
    const size_t end = std::min(rest_.find('\n'), rest_.size());
    const char* at = rest_.data();
    const char* const stop = at + end;
    std::array<int64_t, N> out{};
    for (int64_t& number : out) {
      while (at < stop && *at == ' ') ++at;
      const auto [next, problem] = std::from_chars(at, stop, number);
      check_line(problem == std::errc() && number >= -1 && number < INT32_MAX,
                 "is not the numbers of a YTTM model");
      at = next;
    }
    while (at < stop && (*at == ' ' || *at == '\r')) ++at;
    check_line(at == stop, "has more than the numbers of a YTTM model");
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    return out;
  }

  bool known(int64_t id) const {
    const auto& pieces = tokenizer_->pieces_;
    return id >= 0 && id < static_cast<int64_t>(pieces.size()) && !pieces[id].empty();
  }

  void define(int64_t id, std::string piece) {
    auto& pieces = tokenizer_->pieces_;
    check_line(id >= 0 && id < static_cast<int64_t>(pieces.size()), "has an id outside the vocabulary");
    check_line(pieces[id].empty(), "defines an id again");
    total_bytes_ += piece.size();
    check_line(total_bytes_ <= max_total_bytes, "makes more text than a tokenizer has");
    pieces[id] = std::move(piece);
  }

  void read_character() {
    const auto [code_point, id] = numbers<2>();
    const bool valid =
        code_point > 0 && code_point <= 0x10FFFF && (code_point < 0xD800 || code_point > 0xDFFF);
    check_line(valid, "has no valid code point");
    std::string piece;
    append_utf8(piece, static_cast<char32_t>(code_point));
    define(id, std::move(piece));
    const bool fresh =
        tokenizer_->characters_.emplace(static_cast<char32_t>(code_point), static_cast<int32_t>(id)).second;
    check_line(fresh, "defines a character again");
  }

  void read_rule(int32_t rank) {
    const auto [left, right, merged] = numbers<3>();
    check_line(known(left) && known(right), "merges an id that no line before it defines");
    const auto& pieces = tokenizer_->pieces_;
    check_line(pieces[left].size() + pieces[right].size() <= max_merged_bytes,
               "makes a piece that is too long");
    define(merged, pieces[left] + pieces[right]);
    const bool fresh = tokenizer_->merges_.add(static_cast<int32_t>(left), static_cast<int32_t>(right),
                                               {rank, static_cast<int32_t>(merged)});
    check_line(fresh, "has a rule for a pair that has one");
  }

  // Those that are absent are -1; the vocabulary is dense without them.
  void read_special_ids() {
    const auto [unk, pad, bos, eos] = numbers<4>();
    constexpr const char* names[] = {"<UNK>", "<PAD>", "<BOS>", "<EOS>"};
    const int64_t ids[] = {unk, pad, bos, eos};
    check_line(unk >= 0, "has no id for unknown characters");
    for (int i = 0; i < 4; ++i)
      if (ids[i] >= 0) define(ids[i], names[i]);
    auto& pieces = tokenizer_->pieces_;
    while (!pieces.empty() && pieces.back().empty()) pieces.pop_back();
    for (const std::string& piece : pieces) check_line(!piece.empty(), "leaves an id without a meaning");
    tokenizer_->special_ = {static_cast<int32_t>(pad), static_cast<int32_t>(unk), static_cast<int32_t>(bos),
                            static_cast<int32_t>(eos)};
  }

  std::string_view rest_;
  const std::string& name_;
  int line_ = 0;
  size_t total_bytes_ = 0;
  std::unique_ptr<YttmTokenizer> tokenizer_;
};

std::vector<int32_t> YttmTokenizer::encode_with(std::string_view utf8, BpeDropout* dropout) const {
  const std::u32string text = to_code_points(utf8);
  std::vector<int32_t> word, out;
  WordMerger merger(merges_, dropout);
  const auto add = [&](char32_t c) {
    const auto at = characters_.find(c);
    const int32_t id = at == characters_.end() ? special_.unk : at->second;
    if (id != special_.unk || word.empty() || word.back() != special_.unk) word.push_back(id);
  };
  for (size_t at = 0; at < text.size();) {
    if (separates(text[at])) {
      ++at;
      continue;
    }
    word.clear();
    add(word_mark);
    for (; at < text.size() && !separates(text[at]); ++at) add(text[at]);
    merger.append(word, out);
  }
  return out;
}

std::string YttmTokenizer::decode(std::span<const int32_t> ids) const {
  check_ids(ids);
  std::string out;
  for (int32_t id : ids) {
    std::string_view piece = pieces_[id];
    for (size_t mark; (mark = piece.find("\u2581")) != piece.npos; piece.remove_prefix(mark + 3)) {
      out += piece.substr(0, mark);
      out += ' ';
    }
    out += piece;
  }
  if (out.starts_with(' ')) out.erase(0, 1);  // the mark of the first word
  return out;
}

std::unique_ptr<Tokenizer> parse_yttm(std::span<const uint8_t> bytes, const std::string& name) {
  return YttmReader({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, name).read();
}

}  // namespace dalle1::text
