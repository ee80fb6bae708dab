// Reads the tokenizer.json of an HfBpeTokenizer.
#include <map>

#include "core/error.h"
#include "core/json.h"
#include "core/text/byte_alphabet.h"
#include "core/text/hf_bpe_tokenizer.h"
#include "core/text/unicode.h"
#include "core/text/utf8.h"

namespace dalle1::text {
namespace {

using nlohmann::json;

constexpr size_t most_pieces = 1 << 20;

bool is_absent(const json& value) {
  const bool no_text = value.is_string() && value.get_ref<const std::string&>().empty();
  return value.is_null() || no_text || value == false || value == 0;
}

}  // namespace

/// Builds an HfBpeTokenizer from a document.
class HfBpeReader {
 public:
  HfBpeReader(const json& document, const std::string& name)
      : document_(document), model_(document["model"]), name_(name) {}

  std::unique_ptr<Tokenizer> read() {
    const json type = model_.value("type", json("BPE"));
    require(type == "BPE", "is no byte-pair encoding but " + text_of_value(type));
    for (const char* rule :
         {"dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges"})
      require(is_absent(model_.value(rule, json())),
              fmt::format("its model has the rule '{}', which is not supported", rule));
    for (const char* rule : {"truncation", "padding"})
      require(is_absent(document_.value(rule, json())),
              fmt::format("it says '{}', which is not supported", rule));
    read_normalizer(document_.value("normalizer", json()));
    read_cutter(document_.value("pre_tokenizer", json()));
    read_vocabulary();
    read_merges();
    const json unknown = model_.value("unk_token", json());
    if (!is_absent(unknown)) {
      require(unknown.is_string(), "its unk_token is no text");
      tokenizer_->unknown_ = id_of(unknown.get<std::string>());
    }
    tokenizer_->fuses_unknown_ = model_.value("fuse_unk", json(false)) == true;
    return std::move(tokenizer_);
  }

 private:
  void require(bool condition, std::string_view problem) const {
    check(condition, ErrorKind::model, "{}: {}", name_, problem);
  }

  void read_normalizer(const json& normalizer) {
    if (normalizer.is_null()) return;
    static const std::map<std::string, HfBpeTokenizer::Change> changes{
        {"Lowercase", lower_case_each}, {"NFC", to_nfc}, {"NFKC", to_nfkc}};
    const json type = normalizer.is_object() ? normalizer.value("type", json()) : json();
    if (type == "Sequence") {
      const json parts = normalizer.value("normalizers", json());
      require(parts.is_array() && parts.size() <= 8, "its normalizers are no list of at most 8");
      for (const json& part : parts) read_normalizer(part);
      return;
    }
    const auto known = type.is_string() ? changes.find(type.get<std::string>()) : changes.end();
    require(known != changes.end(),
            "its normalizer is " + text_of_value(type) + "; Lowercase, NFC and NFKC are supported");
    tokenizer_->normalisations_.push_back(known->second);
  }

  void read_cutter(const json& cutter) {
    const json type = cutter.is_object() ? cutter.value("type", json()) : json();
    require(type == "ByteLevel" || type == "Whitespace",
            "its pre_tokenizer is " + text_of_value(type) + "; ByteLevel and Whitespace are supported");
    HfBpeTokenizer& t = *tokenizer_;
    t.byte_level_ = type == "ByteLevel";
    if (!t.byte_level_) return;
    require(cutter.value("use_regex", json(true)) == true, "its pre_tokenizer does not cut words");
    t.space_in_front_ = cutter.value("add_prefix_space", json(true)) == true;
    for (const auto& [character, byte] : byte_alphabet().byte_of) t.stand_ins_[byte] = character;
  }

  void read_vocabulary() {
    const json vocab = model_.value("vocab", json());
    require(vocab.is_object() && !vocab.empty() && vocab.size() <= most_pieces,
            "its vocabulary is empty, or of more than a million");
    HfBpeTokenizer& t = *tokenizer_;
    t.added_ = added_tokens_of(document_, name_);
    for (const auto& [piece, id] : vocab.items()) {
      require(id.is_number_unsigned() && id.get<uint64_t>() < most_pieces, not_each_once);
      add_piece(piece, id.get<int32_t>());
    }
    for (const AddedToken& token : t.added_) {
      const std::string content = to_utf8(token.content);
      if (const auto known = ids_.find(content); known != ids_.end())
        require(known->second == token.id, "an added token has another id than in the vocabulary");
      else
        add_piece(content, token.id);
    }
    t.pieces_.resize(ids_.size());
    std::vector<bool> seen(ids_.size());
    for (const auto& [piece, id] : ids_) {
      const auto place = static_cast<size_t>(id);
      require(place < seen.size() && !seen[place], not_each_once);
      seen[place] = true;
      const auto bytes = t.byte_level_ ? byte_alphabet().bytes_of(piece) : std::nullopt;
      t.pieces_[place] = bytes ? *bytes : piece;
    }
  }

  void add_piece(const std::string& piece, int32_t id) {
    ids_[piece] = id;
    const std::u32string characters = to_code_points_lossy(piece);
    if (characters.size() == 1) tokenizer_->characters_[characters[0]] = id;
  }

  int32_t id_of(const std::string& piece) const {
    const auto at = ids_.find(piece);
    check(at != ids_.end(), ErrorKind::model, "{}: its vocabulary lacks {}", name_, text_of_value(piece));
    return at->second;
  }

  void read_merges() {
    const json merges = model_.value("merges", json());
    require(merges.is_array(), "has no 'merges'");
    MergeTable& table = tokenizer_->merges_;
    for (const json& merge : merges) {
      const auto [left, right] = pieces_of_merge(merge, name_);
      const auto rank = static_cast<int32_t>(table.size());
      require(table.add(id_of(left), id_of(right), {rank, id_of(left + right)}), "a merge comes twice");
    }
  }

  static constexpr std::string_view not_each_once = "its ids are not the whole numbers from 0 on, each once";

  const json& document_;
  const json& model_;
  const std::string& name_;
  std::map<std::string, int32_t> ids_;
  std::unique_ptr<HfBpeTokenizer> tokenizer_ = std::make_unique<HfBpeTokenizer>();
};

std::unique_ptr<Tokenizer> read_hf_bpe_tokenizer(const json& document, const std::string& name) {
  return HfBpeReader(document, name).read();
}

}  // namespace dalle1::text
