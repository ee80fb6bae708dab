// The tokenizer of Hugging Face's CLIPs, against ids of its own library.
#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/io/atomic_file.h"
#include "core/io/file_bytes.h"
#include "core/text/byte_alphabet.h"
#include "core/text/gzip.h"
#include "core/text/hf_clip_tokenizer.h"
#include "core/text/utf8.h"
#include "tests/support/golden.h"

using namespace dalle1;
using namespace dalle1::text;
using nlohmann::json;

namespace {

json golden_json(const std::string& name) {
  std::ifstream file(test::golden("hf_clip_tokenizer/" + name));
  return json::parse(file);
}

std::unique_ptr<Tokenizer> parse(const std::string& document) {
  return parse_tokenizer({reinterpret_cast<const uint8_t*>(document.data()), document.size()}, "t.json");
}

void check_golden(const Tokenizer& tokenizer, const char* which) {
  const json cases = golden_json("strings.json");
  REQUIRE(cases.size() == 320);
  for (const auto& one : cases) {
    const auto text = one["text"].get<std::string>();
    CAPTURE(text);
    CHECK(tokenizer.encode(text) == one[which].get<std::vector<int32_t>>());
  }
}

std::string refusal(const json& document) {
  try {
    parse(document.dump());
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::model);
    CHECK(std::string(error.what()).find('\n') == std::string::npos);
    return error.what();
  }
  return "accepted";
}

/// The vocab.json and merges.txt that transformers has for the merges that all CLIPs share.
void write_pair(const test::ScratchDir& scratch) {
  const auto packed =
      read_file(std::filesystem::path(DALLE1_SOURCE_DIR) / "weights/tokenizers/clip_bpe.txt.gz", 16 << 20);
  const auto text = gunzip(packed, 16 << 20, "merges");
  std::istringstream lines(std::string(text.begin(), text.end()));
  std::vector<std::string> pieces;
  for (const char* end : {"", "</w>"})
    for (const uint8_t byte : byte_alphabet().order)
      for (const auto& [character, value] : byte_alphabet().byte_of)
        if (value == byte) pieces.push_back(to_utf8(std::u32string(1, character)) + end);
  std::string line, merges = "#version: 0.2\n";
  std::getline(lines, line);
  for (int i = 0; i < 49152 - 256 - 2 && std::getline(lines, line); ++i) {
    merges += line + "\n";
    line.erase(line.find(' '), 1);
    pieces.push_back(line);
  }
  pieces.insert(pieces.end(), {"<|startoftext|>", "<|endoftext|>"});
  json vocab = json::object();
  for (size_t i = 0; i < pieces.size(); ++i) vocab[pieces[i]] = i;
  write_file_atomically(scratch / "vocab.json", vocab.dump());
  write_file_atomically(scratch / "merges.txt", merges);
}

}  // namespace

TEST_CASE("Hugging Face's CLIP tokenizer: every golden string, from tokenizer.json") {
  const auto tokenizer = open_tokenizer(test::golden("hf_clip_tokenizer/tokenizer.json"));
  CHECK(tokenizer->kind() == "hf_clip_bpe");
  CHECK(tokenizer->vocab_size() == 512 + 600 + 2);
  CHECK(tokenizer->special().bos == 1112);
  CHECK(tokenizer->special().eos == 1113);
  check_golden(*tokenizer, "small");
  CHECK(tokenizer->decode(tokenizer->encode("A red  circle!")) == "a red circle ! ");
}

TEST_CASE("Hugging Face's CLIP tokenizer: every golden string, from vocab.json and merges.txt") {
  test::ScratchDir scratch;
  write_pair(scratch);
  const std::string joined = join_hf_clip_tokenizer(scratch / "vocab.json", scratch / "merges.txt");
  const auto tokenizer = parse(joined);
  CHECK(tokenizer->vocab_size() == 49408);
  check_golden(*tokenizer, "full");
  write_file_atomically(scratch / "vocab.json", "[]");
  CHECK_THROWS_WITH_AS(join_hf_clip_tokenizer(scratch / "vocab.json", scratch / "merges.txt"),
                       doctest::Contains("no vocabulary"), Error);
  CHECK_THROWS_WITH_AS(join_hf_clip_tokenizer(scratch / "absent.json", scratch / "merges.txt"),
                       doctest::Contains("absent.json"), Error);
}

TEST_CASE("Hugging Face's CLIP tokenizer: what is none is refused") {
  const json good = golden_json("tokenizer.json");
  const auto changed = [&](const char* place, const json& value) {
    json document = good;
    document[json::json_pointer(place)] = value;
    return refusal(document);
  };
  const auto has = [](const std::string& text, const char* part) { return text.find(part) != text.npos; };
  CHECK(has(refusal(json::object()), "no tokenizer.json"));
  CHECK(has(changed("/model/type", "WordPiece"), "no byte-pair encoding but \"WordPiece\""));
  CHECK(has(changed("/model/end_of_word_suffix", ""), "its normalizer is \"Replace\""));  // then no CLIP's
  CHECK(has(changed("/model/vocab", json::object()), "vocabulary is empty"));
  CHECK(has(changed("/model/vocab/!", 5000), "whole numbers from 0"));
  CHECK(has(changed("/model/vocab/!", 1), "whole numbers from 0"));
  CHECK(has(changed("/model/vocab/!", -1), "whole numbers from 0"));
  CHECK(has(changed("/model/merges/0", "in"), "no pair"));
  CHECK(has(changed("/model/merges/0", {"i", 3}), "no pair"));
  CHECK(has(changed("/model/merges/0", "i \nq"), "lacks"));
  CHECK(has(changed("/model/merges/1", good["model"]["merges"][0]), "comes twice"));
  CHECK(has(changed("/normalizer", nullptr), "normalizer is not CLIP's"));
  CHECK(has(changed("/pre_tokenizer", {{"type", "ByteLevel"}}), "pre_tokenizer"));
  CHECK(has(changed("/pre_tokenizer/pretokenizers/0/pattern/Regex", "x"), "cuts words otherwise"));
  CHECK(has(changed("/added_tokens/0/id", 7), "another id"));
  CHECK(has(changed("/added_tokens/0/lstrip", true), "takes spaces"));
  // Merges may be lists of two.
  json lists = good;
  for (json& merge : lists["model"]["merges"]) {
    const auto text = merge.get<std::string>();
    merge = {text.substr(0, text.find(' ')), text.substr(text.find(' ') + 1)};
  }
  CHECK(parse(lists.dump())->encode("the circle") ==
        open_tokenizer(test::golden("hf_clip_tokenizer/tokenizer.json"))->encode("the circle"));
}
