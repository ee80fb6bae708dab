// Tokenizers of Hugging Face's library that are no CLIP's, against ids of the library itself.
#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/text/tokenizer.h"
#include "tests/support/golden.h"

using namespace dalle1;
using namespace dalle1::text;
using nlohmann::json;

namespace {

json golden_json(const std::string& name) {
  std::ifstream file(test::golden("hf_bpe/" + name));
  return json::parse(file);
}

std::unique_ptr<Tokenizer> parse(const json& document) {
  const std::string text = document.dump();
  return parse_tokenizer({reinterpret_cast<const uint8_t*>(text.data()), text.size()}, "t.json");
}

void check_golden(const json& document, const char* which) {
  const auto tokenizer = parse(document);
  CHECK(tokenizer->kind() == "hf_bpe");
  const json cases = golden_json("strings.json");
  REQUIRE(cases.size() == 266);
  for (const auto& one : cases) {
    const auto text = one["text"].get<std::string>();
    CAPTURE(text);
    CHECK(tokenizer->encode(text) == one[which].get<std::vector<int32_t>>());
  }
}

std::string refusal(const json& document) {
  try {
    parse(document);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::model);
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    return error.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("Hugging Face's byte-level BPE: every golden string") {
  json document = golden_json("byte_level.json");
  check_golden(document, "bytes");
  const auto tokenizer = parse(document);
  CHECK(tokenizer->vocab_size() == 2 + 256 + 300);
  CHECK(tokenizer->special().unk == -1);
  CHECK(tokenizer->decode(tokenizer->encode("A red  circle\n caf\u00e9!")) == "a red  circle\n caf\u00e9!");
  document["pre_tokenizer"]["add_prefix_space"] = true;
  document["normalizer"] = {{"type", "Sequence"},
                            {"normalizers", {{{"type", "NFKC"}}, {{"type", "Lowercase"}}}}};
  check_golden(document, "bytes_spaced");
}

TEST_CASE("Hugging Face's BPE over characters: every golden string") {
  json document = golden_json("plain.json");
  check_golden(document, "plain");
  const auto tokenizer = parse(document);
  CHECK(tokenizer->special().unk == 1);
  CHECK(tokenizer->decode(tokenizer->encode("[UNK]a")) == "[UNK] a");
  document["model"]["fuse_unk"] = true;
  document["normalizer"] = {{"type", "NFC"}};
  check_golden(document, "plain_fused");
}

TEST_CASE("Hugging Face's tokenizers: rules that are not supported are refused by name") {
  const json good = golden_json("byte_level.json");
  const auto changed = [&](const char* place, const json& value) {
    json document = good;
    document[json::json_pointer(place)] = value;
    return refusal(document);
  };
  const auto has = [](const std::string& text, const char* part) {
    CAPTURE(text);
    return text.find(part) != text.npos;
  };
  CHECK(has(changed("/model/type", "WordPiece"), "no byte-pair encoding but \"WordPiece\""));
  CHECK(has(changed("/model/dropout", 0.1), "the rule 'dropout'"));
  CHECK(has(changed("/model/continuing_subword_prefix", "##"), "the rule 'continuing_subword_prefix'"));
  CHECK(has(changed("/model/end_of_word_suffix", "_"), "the rule 'end_of_word_suffix'"));
  CHECK(has(changed("/model/byte_fallback", true), "the rule 'byte_fallback'"));
  CHECK(has(changed("/model/ignore_merges", true), "the rule 'ignore_merges'"));
  CHECK(has(changed("/truncation", {{"max_length", 8}}), "'truncation'"));
  CHECK(has(changed("/normalizer", {{"type", "StripAccents"}}), "its normalizer is \"StripAccents\""));
  CHECK(has(changed("/pre_tokenizer", nullptr), "its pre_tokenizer is null"));
  CHECK(has(changed("/pre_tokenizer", {{"type", "Metaspace"}}), "its pre_tokenizer is \"Metaspace\""));
  CHECK(has(changed("/pre_tokenizer/use_regex", false), "does not cut words"));
  CHECK(has(changed("/model/unk_token", "[NO]"), "lacks \"[NO]\""));
  CHECK(has(changed("/model/vocab", json::object()), "vocabulary is empty"));
  CHECK(has(changed("/model/vocab/!", 5000), "whole numbers from 0"));
  CHECK(has(changed("/model/vocab/!", 1), "whole numbers from 0"));
  CHECK(has(changed("/model/merges/0", "in"), "no pair"));
  CHECK(has(changed("/model/merges/1", good["model"]["merges"][0]), "comes twice"));
  CHECK(has(changed("/added_tokens/0/id", 7), "another id"));
  CHECK(has(changed("/added_tokens/0/rstrip", true), "takes spaces"));
  json deep = good;
  for (int i = 0; i < 20; ++i)
    deep["normalizer"] = {{"type", "Sequence"}, {"normalizers", {deep["normalizer"]}}};
  CHECK(has(refusal(deep), "nested deeper"));
}
