#include "core/text/sentencepiece_tokenizer.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/text/utf8.h"

namespace dalle1::text {
namespace {

using Type = SentencePieceModel::Type;

constexpr std::string_view mark = "\u2581";  // shows a space
constexpr size_t max_piece_bytes = 512;  // splitting costs its square; the library's trainer stops at 512 too

std::string_view first_character(std::string_view text) {
  return text.substr(0, first_code_point(text).length);
}

// For each piece the place of its score among all, best first; equal scores share a place.
std::vector<int32_t> score_ranks(const std::vector<SentencePieceModel::Piece>& pieces) {
  std::vector<float> scores;
  for (const auto& piece : pieces) scores.push_back(piece.score);
  std::ranges::sort(scores, std::greater());
  scores.erase(std::unique(scores.begin(), scores.end()), scores.end());
  std::vector<int32_t> ranks;
  for (const auto& piece : pieces) {
    const auto at = std::ranges::lower_bound(scores, piece.score, std::greater());
    ranks.push_back(static_cast<int32_t>(at - scores.begin()));
  }
  return ranks;
}

}  // namespace

SentencePieceTokenizer::SentencePieceTokenizer(SentencePieceModel model, const std::string& name)
    : model_(std::move(model)), map_(model_.character_map, name), name_(name) {
  check(model_.model_type == 2, ErrorKind::model, "{}: only BPE models of sentencepiece are supported", name);
  check(model_.escape_whitespaces, ErrorKind::model, "{}: models without escaped spaces are not supported",
        name);
  register_pieces();
  register_merges();
  choose_word_break();
}

void SentencePieceTokenizer::register_pieces() {
  for (size_t i = 0; i < model_.pieces.size(); ++i) {
    const auto& [text, score, type] = model_.pieces[i];
    const auto id = static_cast<int32_t>(i);
    check(!text.empty() && text.size() <= max_piece_bytes && std::isfinite(score), ErrorKind::model,
          "{}: piece {} is empty, longer than {} bytes or without a score", name_, i, max_piece_bytes);
    for (size_t at = 0; at < text.size(); at += first_code_point(std::string_view(text).substr(at)).length)
      check(first_code_point(std::string_view(text).substr(at)).length > 0, ErrorKind::model,
            "{}: piece {} is not UTF-8", name_, i);
    check(type == Type::normal || type == Type::control || type == Type::unknown, ErrorKind::model,
          "{}: piece {} is user-defined, unused or a byte: models with such pieces are not supported", name_,
          i);
    if (type == Type::normal) {
      check(symbols_.emplace(text, id).second, ErrorKind::model, "{}: piece {} is there twice", name_, i);
    } else if (type == Type::unknown) {
      check(special_.unk < 0, ErrorKind::model, "{}: has two pieces for unknown characters", name_);
      special_.unk = id;
    } else {
      if (text == model_.pad_piece) special_.pad = id;
      if (text == model_.bos_piece) special_.bos = id;
      if (text == model_.eos_piece) special_.eos = id;
    }
  }
  check(special_.unk >= 0, ErrorKind::model, "{}: has no piece for unknown characters", name_);
}

// Two neighbours merge whenever their texts joined are a piece: so each way to split a piece into two symbols
// is a rule. A symbol is a piece or one character.
void SentencePieceTokenizer::register_merges() {
  const std::vector<int32_t> ranks = score_ranks(model_.pieces);
  for (const auto& [text, score, type] : model_.pieces) {
    if (type != Type::normal) continue;
    for (std::string_view rest = text; !rest.empty();) {
      const std::string_view character = first_character(rest);
      symbols_.emplace(character, vocab_size() + static_cast<int32_t>(symbols_.size()));
      rest.remove_prefix(character.size());
    }
  }
  for (int32_t id = 0; id < vocab_size(); ++id) {
    if (model_.pieces[id].type != Type::normal) continue;
    const std::string_view text = model_.pieces[id].text;
    for (size_t cut = first_character(text).size(); cut < text.size();
         cut += first_character(text.substr(cut)).size()) {
      const auto left = symbols_.find(text.substr(0, cut)), right = symbols_.find(text.substr(cut));
      if (left != symbols_.end() && right != symbols_.end())
        merges_.add(left->second, right->second, {ranks[id], id});
    }
  }
}

// Dropout works word by word. Text may be cut at a space mark where no piece reaches across.
void SentencePieceTokenizer::choose_word_break() {
  bool inside_before = false, inside_after = false;  // some piece has a character before, after a mark
  for (const auto& [text, score, type] : model_.pieces) {
    if (type != Type::normal) continue;
    const std::string_view view = text;
    inside_before = inside_before || view.rfind(mark) + 1 > 1;
    const size_t first = view.find(mark);
    inside_after = inside_after || (first != view.npos && first + mark.size() < view.size());
  }
  if (!inside_before)
    word_break_ = WordBreak::before_mark;
  else if (!inside_after)
    word_break_ = WordBreak::after_mark;
}

// The first character of `text`, which this class made itself: a damaged map may break its UTF-8.
std::string_view SentencePieceTokenizer::next_character(std::string_view text) const {
  const std::string_view character = first_character(text);
  check(!character.empty(), ErrorKind::model, "{}: the normalisation rules break UTF-8: damaged file", name_);
  return character;
}

std::string SentencePieceTokenizer::normalize(std::string_view utf8) const {
  check_utf8(utf8);
  const bool fold = model_.remove_extra_whitespaces;
  bool after_space = fold, blank = true;
  std::string out;
  if (model_.add_dummy_prefix && !model_.whitespace_suffix) out = mark;
  while (!utf8.empty()) {
    auto [length, shown] = map_.longest(utf8);
    if (length == 0) {
      shown = next_character(utf8);
      length = shown.size();
    }
    utf8.remove_prefix(length);
    blank = blank && fold && shown == " ";
    while (after_space && shown.starts_with(' ')) shown.remove_prefix(1);
    if (shown.empty()) continue;
    for (const char c : shown) c == ' ' ? out += mark : out += c;
    after_space = fold && shown.ends_with(' ');
  }
  if (blank) return {};
  while (fold && out.ends_with(mark)) out.resize(out.size() - mark.size());
  if (model_.add_dummy_prefix && model_.whitespace_suffix) out += mark;
  return out;
}

int32_t SentencePieceTokenizer::symbol_of(std::string_view character) const {
  const auto at = symbols_.find(character);
  return at == symbols_.end() ? special_.unk : at->second;
}

int32_t SentencePieceTokenizer::id_of(int32_t symbol) const {
  return symbol < vocab_size() ? symbol : special_.unk;
}

std::vector<int32_t> SentencePieceTokenizer::encode_with(std::string_view utf8, BpeDropout* dropout) const {
  const std::string text = normalize(utf8);
  std::vector<int32_t> word, symbols;
  WordMerger merger(merges_, dropout);
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view character = next_character(rest);
    if (character == mark && word_break_ == WordBreak::before_mark) {
      merger.append(word, symbols);
      word.clear();
    }
    word.push_back(symbol_of(character));
    if (character == mark && word_break_ == WordBreak::after_mark) {
      merger.append(word, symbols);
      word.clear();
    }
    rest.remove_prefix(character.size());
  }
  merger.append(word, symbols);
  std::vector<int32_t> out;
  for (const int32_t symbol : symbols) {
    const int32_t id = id_of(symbol);
    if (id != special_.unk || out.empty() || out.back() != special_.unk) out.push_back(id);
  }
  return out;
}

std::string SentencePieceTokenizer::decode(std::span<const int32_t> ids) const {
  check_ids(ids);
  std::string out;
  // The space that normalisation put in front is not text.
  bool drop_space = model_.add_dummy_prefix || model_.remove_extra_whitespaces;
  for (const int32_t id : ids) {
    const auto& [text, score, type] = model_.pieces[id];
    if (type == Type::control) continue;
    std::string_view rest = type == Type::unknown ? std::string_view(model_.unknown_surface) : text;
    drop_space = drop_space && out.empty();
    if (drop_space && type == Type::normal && rest.starts_with(mark)) {
      rest.remove_prefix(mark.size());
      drop_space = model_.remove_extra_whitespaces;
    }
    for (size_t at; (at = rest.find(mark)) != rest.npos; rest.remove_prefix(at + mark.size())) {
      out += rest.substr(0, at);
      out += ' ';
    }
    out += rest;
  }
  return out;
}

std::unique_ptr<Tokenizer> parse_sentencepiece(std::span<const uint8_t> bytes, const std::string& name) {
  return std::make_unique<SentencePieceTokenizer>(read_sentencepiece_model(bytes, name), name);
}

}  // namespace dalle1::text
