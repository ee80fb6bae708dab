// Reads tokenizer.json of Hugging Face's CLIPs, and the pair of files that it replaced.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/io/file_bytes.h"
#include "core/json.h"
#include "core/text/byte_alphabet.h"
#include "core/text/clip_tokenizer.h"
#include "core/text/clip_words.h"
#include "core/text/hf_clip_tokenizer.h"
#include "core/text/hf_json.h"
#include "core/text/utf8.h"

namespace dalle1::text {
namespace {

using nlohmann::json;

constexpr size_t most_bytes = 16 << 20;
constexpr size_t most_ids = 1 << 20;

json normalizer() {
  return {{"type", "Sequence"},
          {"normalizers",
           {{{"type", "NFC"}},
            {{"type", "Replace"}, {"pattern", {{"Regex", "\\s+"}}}, {"content", " "}},
            {{"type", "Lowercase"}}}}};
}

constexpr const char* words_pattern = "'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+";
constexpr const char* special_pattern = "<\\|startoftext\\|>|<\\|endoftext\\|>|";

}  // namespace

/// Builds an HfClipTokenizer from a document.
class HfClipReader {
 public:
  HfClipReader(const json& document, const std::string& name) : document_(document), name_(name) {}

  std::unique_ptr<Tokenizer> read() {
    const json& model = document_["model"];
    const json type = model.value("type", json("BPE"));
    require(type == "BPE", "is no byte-pair encoding but " + text_of_value(type));
    read_rules();
    require(model.contains("vocab") && model["vocab"].is_object(), "has no 'vocab'");
    require(model.contains("merges") && model["merges"].is_array(), "has no 'merges'");
    read_vocabulary(model["vocab"]);
    for (const json& merge : model["merges"]) read_merge(merge);
    read_added();
    return std::move(tokenizer_);
  }

 private:
  void require(bool condition, std::string_view problem) const {
    check(condition, ErrorKind::model, "{}: {}", name_, problem);
  }

  void read_rules() {
    require(document_.value("normalizer", json()) == normalizer(),
            "its normalizer is not CLIP's (NFC, spaces, lower case)");
    const json cutter = document_.value("pre_tokenizer", json());
    const json::json_pointer place("/pretokenizers/0/pattern/Regex");
    require(cutter.is_object() && cutter.contains(place), "its pre_tokenizer is not CLIP's");
    const json& pattern = cutter[place];
    require(pattern == words_pattern || pattern == special_pattern + std::string(words_pattern),
            "its pre_tokenizer cuts words otherwise than CLIP's");
    if (pattern == words_pattern) tokenizer_->words_ = ClipWords::hugging_face_without_special;
  }

  void read_vocabulary(const json& vocab) {
    require(!vocab.empty() && vocab.size() <= most_ids, "its vocabulary is empty or of more than a million");
    HfClipTokenizer& t = *tokenizer_;
    t.pieces_.bytes.resize(vocab.size());
    t.pieces_.ends_word.resize(vocab.size());
    std::vector<bool> seen(vocab.size());
    for (const auto& [piece, value] : vocab.items()) {
      require(
          value.is_number_unsigned() && value.get<uint64_t>() < vocab.size() && !seen[value.get<uint64_t>()],
          "its ids are not the whole numbers from 0 on, each once");
      const auto id = value.get<int32_t>();
      seen[id] = true;
      std::string_view rest = piece;
      const bool ends = rest.ends_with(clip_word_end) && rest.size() > clip_word_end.size();
      if (ends) rest.remove_suffix(clip_word_end.size());
      const auto bytes = byte_alphabet().bytes_of(rest);
      t.pieces_.bytes[id] = bytes ? *bytes : std::string(rest);
      t.pieces_.ends_word[id] = ends;
    }
    t.start_ = id_of(to_utf8(start_of_text));
    t.end_ = id_of(to_utf8(end_of_text));
    read_symbols(vocab);
  }

  // Bytes that the vocabulary lacks become the unknown token, which is the end of text.
  void read_symbols(const json& vocab) {
    HfClipTokenizer& t = *tokenizer_;
    for (const bool end : {false, true}) {
      std::fill(std::begin(t.pieces_.symbols[end]), std::end(t.pieces_.symbols[end]), t.end_);
      for (const auto& [character, byte] : byte_alphabet().byte_of) {
        const auto at =
            vocab.find(to_utf8(std::u32string(1, character)) + (end ? std::string(clip_word_end) : ""));
        if (at != vocab.end()) t.pieces_.symbols[end][byte] = at->get<int32_t>();
      }
    }
  }

  int32_t id_of(const std::string& piece) const {
    const json& vocab = document_["model"]["vocab"];
    const auto at = vocab.find(piece);
    check(at != vocab.end(), ErrorKind::model, "{}: its vocabulary lacks {}", name_, text_of_value(piece));
    return at->get<int32_t>();
  }

  void read_merge(const json& merge) {
    const auto [left, right] = pieces_of_merge(merge, name_);
    MergeTable& merges = tokenizer_->merges_;
    const auto rank = static_cast<int32_t>(merges.size());
    require(merges.add(id_of(left), id_of(right), {rank, id_of(left + right)}), "a merge comes twice");
  }

  void read_added() {
    tokenizer_->added_ = added_tokens_of(document_, name_);
    for (const AddedToken& token : tokenizer_->added_)
      require(token.id == id_of(to_utf8(token.content)),
              "an added token has another id than in the vocabulary");
  }

  const json& document_;
  const std::string& name_;
  std::unique_ptr<HfClipTokenizer> tokenizer_ = std::make_unique<HfClipTokenizer>();
};

std::unique_ptr<Tokenizer> read_hf_clip_tokenizer(const json& document, const std::string& name) {
  return HfClipReader(document, name).read();
}

std::string join_hf_clip_tokenizer(const std::filesystem::path& vocab, const std::filesystem::path& merges) {
  const auto text_of = [](const std::filesystem::path& path) {
    try {
      const auto bytes = read_file(path, most_bytes);
      return std::string(bytes.begin(), bytes.end());
    } catch (const Error& error) {
      fail(ErrorKind::model, "tokenizer: {}", error);
    }
  };
  const json ids = parse_tokenizer_json(text_of(vocab), vocab.string());
  check(ids.is_object(), ErrorKind::model, "{}: no vocabulary", vocab.string());
  json pairs = json::array();
  const std::string lines = text_of(merges);
  check(to_utf8(to_code_points_lossy(lines)) == lines, ErrorKind::model, "{}: not UTF-8", merges.string());
  for (size_t begin = 0; begin < lines.size();) {
    const size_t end = std::min(lines.find('\n', begin), lines.size());
    std::string line = lines.substr(begin, end - begin);
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty() && !line.starts_with("#version")) pairs.push_back(std::move(line));
    begin = end + 1;
  }
  json added = json::array();
  for (const auto special : {start_of_text, end_of_text}) {
    const auto at = ids.find(to_utf8(special));
    check(at != ids.end() && at->is_number_unsigned(), ErrorKind::model, "{}: its vocabulary lacks '{}'",
          vocab.string(), to_utf8(special));
    added.push_back({{"id", *at}, {"content", to_utf8(special)}, {"normalized", false}, {"special", true}});
  }
  const json cutter = {{"type", "Sequence"},
                       {"pretokenizers",
                        {{{"type", "Split"},
                          {"pattern", {{"Regex", words_pattern}}},
                          {"behavior", "Removed"},
                          {"invert", true}},
                         {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}}}}};
  return json{{"version", "1.0"},
              {"added_tokens", added},
              {"normalizer", normalizer()},
              {"pre_tokenizer", cutter},
              {"decoder", {{"type", "ByteLevel"}}},
              {"model",
               {{"type", "BPE"},
                {"unk_token", to_utf8(end_of_text)},
                {"continuing_subword_prefix", ""},
                {"end_of_word_suffix", std::string(clip_word_end)},
                {"vocab", ids},
                {"merges", pairs}}}}
      .dump();
}

}  // namespace dalle1::text
