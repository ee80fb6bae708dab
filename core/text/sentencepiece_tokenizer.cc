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
  constexpr int unigram = 1, bpe = 2;
  check(model_.model_type == unigram || model_.model_type == bpe, ErrorKind::model,
        "{}: only BPE and unigram models of sentencepiece are supported", name);
  check(model_.escape_whitespaces, ErrorKind::model, "{}: models without escaped spaces are not supported",
        name);
  register_pieces();
  if (model_.model_type == unigram) {
    unigram_ = Unigram(model_.pieces, special_.unk);
    return;
  }
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
    switch (type) {
      case Type::normal:
        check(symbols_.emplace(text, id).second, ErrorKind::model, "{}: piece {} is there twice", name_, i);
        break;
      case Type::user_defined:
        check(user_pieces_.emplace(text, id).second, ErrorKind::model, "{}: piece {} is there twice", name_,
              i);
        longest_user_piece_ = std::max(longest_user_piece_, text.size());
        break;
      case Type::unknown:
        check(special_.unk < 0, ErrorKind::model, "{}: has two pieces for unknown characters", name_);
        special_.unk = id;
        break;
      case Type::byte:
        register_byte(text, id);
        break;
      case Type::control:
        if (text == model_.pad_piece) special_.pad = id;
        if (text == model_.bos_piece) special_.bos = id;
        if (text == model_.eos_piece) special_.eos = id;
        break;
      default:
        fail(ErrorKind::model, "{}: piece {} is unused: models with such pieces are not supported", name_, i);
    }
  }
  check(special_.unk >= 0, ErrorKind::model, "{}: has no piece for unknown characters", name_);
  check(!model_.byte_fallback || (!byte_ids_.empty() && std::ranges::find(byte_ids_, -1) == byte_ids_.end()),
        ErrorKind::model, "{}: falls back to bytes and has no piece for some of them", name_);
}

// "<0x0A>", in this form only.
void SentencePieceTokenizer::register_byte(std::string_view text, int32_t id) {
  int byte = 0;
  while (byte < 256 && text != fmt::format("<0x{:02X}>", byte)) ++byte;
  check(byte < 256, ErrorKind::model, "{}: piece {} is called a byte and is none", name_, id);
  byte_ids_.resize(256, -1);
  check(byte_ids_[static_cast<size_t>(byte)] < 0, ErrorKind::model, "{}: piece {} is there twice", name_, id);
  byte_ids_[static_cast<size_t>(byte)] = id;
}

// Two neighbours merge whenever their texts joined are a piece: so each way to split a piece into two symbols
// is a rule. A symbol is a piece or one character.
void SentencePieceTokenizer::register_merges() {
  const std::vector<int32_t> ranks = score_ranks(model_.pieces);
  for (const auto& [text, score, type] : model_.pieces) {
    if (type != Type::normal) continue;
    for (std::string_view rest = text; !rest.empty();) {
      const std::string_view character = first_character(rest);
      const int32_t fresh = vocab_size() + static_cast<int32_t>(characters_.size());
      if (symbols_.emplace(character, fresh).second) characters_.push_back(character);
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
    if (const std::string_view piece = user_piece_at(utf8); !piece.empty()) {  // stays as it is
      shown = piece;
      length = piece.size();
    } else if (length == 0) {
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

// The longest user-defined piece that begins `text`; empty where none does.
std::string_view SentencePieceTokenizer::user_piece_at(std::string_view text) const {
  for (size_t length = std::min(longest_user_piece_, text.size()); length > 0; --length)
    if (user_pieces_.contains(text.substr(0, length))) return text.substr(0, length);
  return {};
}

std::vector<SentencePieceTokenizer::Part> SentencePieceTokenizer::merged(std::string_view normalised,
                                                                         BpeDropout* dropout) const {
  // Beyond the symbols of the model: the characters of this text that it does not know.
  const int32_t first_unknown = vocab_size() + static_cast<int32_t>(characters_.size());
  std::vector<std::string_view> unknown;
  std::vector<int32_t> word, symbols;
  WordMerger merger(merges_, dropout);
  const auto end_word = [&] {
    merger.append(word, symbols);
    word.clear();
  };
  while (!normalised.empty()) {
    if (const std::string_view piece = user_piece_at(normalised); !piece.empty()) {
      end_word();  // nothing merges with it
      symbols.push_back(user_pieces_.at(piece));
      normalised.remove_prefix(piece.size());
      continue;
    }
    const std::string_view character = next_character(normalised);
    if (character == mark && word_break_ == WordBreak::before_mark) end_word();
    const auto at = symbols_.find(character);
    if (at == symbols_.end()) unknown.push_back(character);
    word.push_back(at != symbols_.end() ? at->second
                                        : first_unknown + static_cast<int32_t>(unknown.size()) - 1);
    if (character == mark && word_break_ == WordBreak::after_mark) end_word();
    normalised.remove_prefix(character.size());
  }
  end_word();
  std::vector<Part> parts;
  for (const int32_t symbol : symbols) {
    if (symbol < vocab_size())
      parts.push_back({symbol, {}});
    else if (symbol < first_unknown)
      parts.push_back({special_.unk, characters_[static_cast<size_t>(symbol - vocab_size())]});
    else
      parts.push_back({special_.unk, unknown[static_cast<size_t>(symbol - first_unknown)]});
  }
  return parts;
}

std::vector<SentencePieceTokenizer::Part> SentencePieceTokenizer::parts_of(std::string_view normalised,
                                                                           BpeDropout* dropout) const {
  if (model_.model_type == 2) return merged(normalised, dropout);
  check(!dropout || dropout->probability() == 0, ErrorKind::usage,
        "{}: a unigram model has no merges for BPE dropout to leave out", name_);
  std::vector<Part> parts;
  for (const Unigram::Part& part : unigram_.segment(normalised)) parts.push_back({part.id, part.text});
  return parts;
}

std::vector<int32_t> SentencePieceTokenizer::encode_with(std::string_view utf8, BpeDropout* dropout) const {
  const std::string text = normalize(utf8);
  std::vector<int32_t> out;
  for (const Part& part : parts_of(text, dropout)) {
    if (part.id != special_.unk)
      out.push_back(part.id);
    else if (model_.byte_fallback)
      for (const char byte : part.text) out.push_back(byte_ids_[static_cast<uint8_t>(byte)]);
    else if (out.empty() || out.back() != special_.unk)
      out.push_back(special_.unk);
  }
  return out;
}

std::string SentencePieceTokenizer::decode(std::span<const int32_t> ids) const {
  check_ids(ids);
  std::string out, bytes;
  // Bytes in a row are read as UTF-8 together, each that does not belong to any as U+FFFD.
  const auto end_bytes = [&] {
    for (std::string_view rest = bytes; !rest.empty();) {
      const int length = first_code_point(rest).length;
      out += length > 0 ? rest.substr(0, static_cast<size_t>(length)) : std::string_view("\xEF\xBF\xBD");
      rest.remove_prefix(static_cast<size_t>(std::max(length, 1)));
    }
    bytes.clear();
  };
  // The space that normalisation put in front is not text.
  bool drop_space = model_.add_dummy_prefix || model_.remove_extra_whitespaces;
  for (const int32_t id : ids) {
    const auto& [text, score, type] = model_.pieces[id];
    if (type == Type::byte) {
      bytes += static_cast<char>(std::ranges::find(byte_ids_, id) - byte_ids_.begin());
      continue;
    }
    end_bytes();
    if (type == Type::control) continue;
    std::string_view rest = type == Type::unknown ? std::string_view(model_.unknown_surface) : text;
    drop_space = drop_space && out.empty();
    if (drop_space && type != Type::unknown && rest.starts_with(mark)) {
      rest.remove_prefix(mark.size());
      drop_space = model_.remove_extra_whitespaces;
    }
    for (size_t at; (at = rest.find(mark)) != rest.npos; rest.remove_prefix(at + mark.size())) {
      out += rest.substr(0, at);
      out += ' ';
    }
    out += rest;
  }
  end_bytes();
  return out;
}

std::unique_ptr<Tokenizer> parse_sentencepiece(std::span<const uint8_t> bytes, const std::string& name) {
  return std::make_unique<SentencePieceTokenizer>(read_sentencepiece_model(bytes, name), name);
}

}  // namespace dalle1::text
