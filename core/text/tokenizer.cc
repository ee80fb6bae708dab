#include "core/text/tokenizer.h"

#include <algorithm>

#include "core/error.h"
#include "core/io/file_bytes.h"
#include "core/io/file_kind.h"
#include "core/text/clip_tokenizer.h"
#include "core/text/gzip.h"
#include "core/text/hf_bpe_tokenizer.h"
#include "core/text/hf_clip_tokenizer.h"
#include "core/text/sentencepiece_tokenizer.h"
#include "core/text/yttm_tokenizer.h"

namespace dalle1::text {
namespace {

constexpr size_t max_file_bytes = 64 << 20;

std::string_view first_line(std::string_view text) { return text.substr(0, text.find('\n')); }

bool is_two_numbers(std::string_view line) {
  if (line.ends_with('\r')) line.remove_suffix(1);
  return !line.empty() && std::ranges::count(line, ' ') == 1 && line.front() != ' ' && line.back() != ' ' &&
         std::ranges::all_of(line, [](char c) { return c == ' ' || (c >= '0' && c <= '9'); });
}

// CLIP's end words with a suffix.
std::unique_ptr<Tokenizer> parse_hf_tokenizer(std::string_view text, const std::string& name) {
  const nlohmann::json document = parse_tokenizer_json(text, name);
  check(document.contains("model") && document["model"].is_object(), ErrorKind::model,
        "{}: has no 'model': it is no tokenizer.json", name);
  const bool clips = document["model"].value("end_of_word_suffix", nlohmann::json()) == clip_word_end;
  return clips ? read_hf_clip_tokenizer(document, name) : read_hf_bpe_tokenizer(document, name);
}

}  // namespace

std::vector<int32_t> Tokenizer::encode(std::string_view utf8) const { return encode_with(utf8, nullptr); }

std::vector<int32_t> Tokenizer::encode_dropout(std::string_view utf8, float probability, uint64_t seed,
                                               uint64_t index) const {
  check(probability >= 0 && probability <= 1, ErrorKind::usage, "BPE dropout {} is outside 0 to 1",
        probability);
  BpeDropout dropout(probability, seed, index);
  return encode_with(utf8, &dropout);
}

void Tokenizer::check_ids(std::span<const int32_t> ids) const {
  for (int32_t id : ids)
    check(id >= 0 && id < vocab_size(), ErrorKind::input, "token id {} is outside the vocabulary of {}", id,
          vocab_size());
}

std::unique_ptr<Tokenizer> parse_tokenizer(std::span<const uint8_t> bytes, const std::string& name) {
  if (is_gzip(bytes)) {
    const std::vector<uint8_t> text = gunzip(bytes, max_file_bytes, name);
    return parse_clip_merges(text, name);
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (text.starts_with('{')) return parse_hf_tokenizer(text, name);
  const std::string_view line = first_line(text);
  if (is_two_numbers(line)) return parse_yttm(bytes, name);
  if (line.find("#version") != line.npos) return parse_clip_merges(bytes, name);
  check(text.starts_with('\n'), ErrorKind::model,  // the tag of a protobuf's field 1
        "{} is no tokenizer that this program knows (a sentencepiece model, a YTTM bpe.model, CLIP's "
        "merges or a tokenizer.json){}",
        name, but_it_is(bytes));
  return parse_sentencepiece(bytes, name);
}

std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& path) {
  std::vector<uint8_t> bytes;
  try {
    bytes = read_file(path, max_file_bytes);
  } catch (const Error& error) {  // a tokenizer that cannot be read is a missing part of the model
    fail(ErrorKind::model, "tokenizer: {}", error);
  }
  return parse_tokenizer(bytes, path.string());
}

std::vector<int32_t> fit(std::vector<int32_t> ids, size_t limit, bool truncate, std::string_view what) {
  check(truncate || ids.size() <= limit, ErrorKind::input,
        "{} has {} tokens, {} more than the limit of {}; shorten it or pass {}", what, ids.size(),
        ids.size() - limit, limit, OptionName{"truncate"});
  ids.resize(std::min(ids.size(), limit));
  return ids;
}

std::vector<int32_t> frame(std::span<const int32_t> ids, const SpecialIds& special, size_t length,
                           Overflow overflow, std::string_view what) {
  check(length >= 2, ErrorKind::usage, "a text of {} slots has no room for its first and last token", length);
  check(special.bos >= 0 && special.eos >= 0 && special.pad >= 0, ErrorKind::model,
        "the tokenizer has no ids for beginning, end and padding");
  std::vector<int32_t> out{special.bos};
  out.insert(out.end(), ids.begin(), ids.end());
  out.push_back(special.eos);
  if (out.size() > length) {
    if (overflow == Overflow::refuse) fit({ids.begin(), ids.end()}, length - 2, false, what);
    out.resize(length);
    if (overflow == Overflow::keep_eos) out.back() = special.eos;
  }
  out.resize(length, special.pad);
  return out;
}

}  // namespace dalle1::text
