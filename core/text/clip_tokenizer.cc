#include "core/text/clip_tokenizer.h"

#include <algorithm>

#include "core/error.h"
#include "core/text/byte_alphabet.h"
#include "core/text/clip_words.h"
#include "core/text/html_entities.h"
#include "core/text/text_repair.h"
#include "core/text/unicode.h"
#include "core/text/utf8.h"

namespace dalle1::text {
namespace {

constexpr size_t max_merges = 49152 - 256 - 2;

}  // namespace

/// Builds a ClipTokenizer line by line.
class ClipMergesReader {
 public:
  ClipMergesReader(std::string_view text, const std::string& name) : rest_(text), name_(name) {}

  std::unique_ptr<Tokenizer> read() {
    for (const bool end : {false, true}) {
      for (const uint8_t byte : byte_alphabet().order) {
        tokenizer_->pieces_.symbols[end][byte] = define(std::string(1, static_cast<char>(byte)), end);
      }
    }
    next_line();  // the title
    for (size_t rank = 0; rank < max_merges && !rest_.empty(); ++rank) read_merge(static_cast<int32_t>(rank));
    check_line(tokenizer_->merges_.size() > 0, "ends the file before the first merge");
    define(to_utf8(start_of_text), false);
    define(to_utf8(end_of_text), false);
    return std::move(tokenizer_);
  }

 private:
  void check_line(bool condition, std::string_view problem) const {
    check(condition, ErrorKind::model, "{}: line {} {}", name_, line_, problem);
  }

  std::string_view next_line() {
    ++line_;
    const size_t end = std::min(rest_.find('\n'), rest_.size());
    std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
  }

  int32_t define(std::string bytes, bool ends_word) {
    const auto id = static_cast<int32_t>(tokenizer_->pieces_.size());
    tokenizer_->pieces_.bytes.push_back(bytes);
    tokenizer_->pieces_.ends_word.push_back(ends_word);
    ids_.emplace((ends_word ? '\1' : '\0') + std::move(bytes), id);  // a repeated piece keeps its first id
    return id;
  }

  // Bytes of one side of a merge; `end` becomes whether it carries the word end.
  std::string bytes_of(std::string_view side, bool& end) const {
    end = side.ends_with(clip_word_end) && side.size() > clip_word_end.size();
    if (end) side.remove_suffix(clip_word_end.size());
    auto bytes = byte_alphabet().bytes_of(side);
    check_line(bytes.has_value(), "has a character that stands for no byte");
    return std::move(*bytes);
  }

  int32_t id_of(const std::string& bytes, bool end) const {
    const auto at = ids_.find((end ? '\1' : '\0') + bytes);
    check_line(at != ids_.end(), "merges a piece that no line before it makes");
    return at->second;
  }

  void read_merge(int32_t rank) {
    const std::string_view line = next_line();
    const size_t gap = line.find(' ');
    check_line(gap != line.npos && gap > 0 && gap + 1 < line.size() && line.find(' ', gap + 1) == line.npos,
               "is no pair of pieces");
    bool left_ends, right_ends;
    const std::string left = bytes_of(line.substr(0, gap), left_ends);
    const std::string right = bytes_of(line.substr(gap + 1), right_ends);
    check_line(!left_ends, "merges on after the end of a word");
    const int32_t left_id = id_of(left, false), right_id = id_of(right, right_ends);
    const bool fresh = tokenizer_->merges_.add(left_id, right_id, {rank, define(left + right, right_ends)});
    check_line(fresh, "has a merge that is there already");
  }

  std::string_view rest_;
  const std::string& name_;
  int line_ = 0;
  std::unordered_map<std::string, int32_t> ids_;
  std::unique_ptr<ClipTokenizer> tokenizer_ = std::make_unique<ClipTokenizer>();
};

std::string clean_clip_text(std::string_view utf8) {
  const std::u32string decoded = unescape_html(unescape_html(repair_text(to_code_points(utf8))));
  std::u32string folded;
  for (const char32_t c : strip(decoded)) {
    if (!is_space(c))
      folded += c;
    else if (!folded.ends_with(U' '))
      folded += U' ';
  }
  return to_utf8(lower_case(folded));
}

std::vector<int32_t> ClipTokenizer::encode_with(std::string_view utf8, BpeDropout* dropout) const {
  std::vector<int32_t> out;
  WordMerger merger(merges_, dropout);
  for_each_clip_word(to_code_points(clean_clip_text(utf8)), ClipWords::openai, [&](std::u32string_view word) {
    if (word == start_of_text || word == end_of_text) {
      out.push_back(word == start_of_text ? special().bos : special().eos);
      return;
    }
    merger.append(pieces_.symbols_of(to_utf8(word)), out);
  });
  return out;
}

std::vector<int32_t> ClipTokenizer::tokenize(std::string_view utf8, bool truncate, size_t context) const {
  return frame(encode(utf8), special(), context, truncate ? Overflow::keep_eos : Overflow::refuse);
}

std::string ClipTokenizer::decode(std::span<const int32_t> ids) const {
  check_ids(ids);
  return pieces_.text_of(ids);
}

std::unique_ptr<Tokenizer> parse_clip_merges(std::span<const uint8_t> bytes, const std::string& name) {
  return ClipMergesReader({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, name).read();
}

}  // namespace dalle1::text
