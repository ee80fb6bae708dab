#include <doctest/doctest.h>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <chrono>
#include <fstream>
#include <set>

#include "core/error.h"
#include "core/io/atomic_file.h"
#include "core/text/sentencepiece_tokenizer.h"
#include "core/text/train_sentencepiece.h"
#include "core/text/unicode.h"
#include "core/text/utf8.h"
#include "tests/support/golden.h"

using namespace dalle1;
using namespace dalle1::text;

namespace {

std::vector<std::string> captions() {
  std::vector<std::string> out;
  for (const char* colour : {"red", "orange", "green", "navy blue", "violet"})
    for (const char* thing :
         {"circle", "armchair in the shape of an avocado", "baby daikon radish in a tutu", "cat"})
      for (const char* place :
           {"on a white background", "left of a yellow square", "at night, seen from above"})
        out.push_back(fmt::format("A {} {} {} ({} of 12)", colour, thing, place, out.size() % 10));
  out.insert(out.end(),
             {"красный кот на фоне ночного города", "Café naïve, straße ÉTÉ", "一只猫的照片", "  ", ""});
  return out;
}

std::string train(const SentencePieceTraining& training, std::vector<std::string> lines = captions()) {
  size_t at = 0;
  return train_sentencepiece(
      [&]() -> std::optional<std::string> {
        if (at == lines.size()) return std::nullopt;
        return lines[at++];
      },
      training);
}

const std::string& model() {
  static const std::string bytes = train({.vocab_size = 320});
  return bytes;
}

std::string file_content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::unique_ptr<SentencePieceTokenizer> parse(std::string_view bytes) {
  const std::span data(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  return std::make_unique<SentencePieceTokenizer>(read_sentencepiece_model(data, "text.model"), "text.model");
}

const std::vector<std::string>& texts() {
  static const std::vector<std::string> out = [] {
    std::vector<std::string> all = captions();
    all.insert(all.end(), {"an armchair",
                           "AN ARMCHAIR",
                           "  an   armchair \t\n twice ",
                           "unseen words: zebra xylophone quiz",
                           "ﬁne ﬂow Ａ１",
                           "½ ² ① Ⅷ",
                           "İstanbul STRASSE straße",
                           "cafe\u0301",
                           "🐱 and 🐶🐶",
                           "漢字と猫",
                           "х🐱y字字z",
                           "▁marked▁text",
                           " ▁ ",
                           "▁",
                           "\u3000\u00A0\u2003wide",
                           "zero\u200Bwidth soft\u00ADhyphen",
                           "\u0007bell\u0000x",
                           std::string("nul\0inside", 10),
                           "<s> </s> <unk> <pad>",
                           "\uFDFA ligature of words",
                           "...---...!!",
                           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                           "\u0300\u0301 marks alone",
                           "a",
                           " ",
                           ""});
    RandomStream draws(5, Stream::test);
    static constexpr const char* parts[] = {"cat", "A", " ",   "  ", "é", "of", "字",
                                            "▁",   "s", "ing", "th", "е", "🐱",  "\t"};
    for (int i = 0; i < 300; ++i) {
      std::string text;
      for (uint32_t n = draws.below(24); n > 0; --n) text += parts[draws.below(std::size(parts))];
      all.push_back(text);
    }
    return all;
  }();
  return out;
}

}  // namespace

TEST_CASE("sentencepiece: ids and text equal the library's on every text") {
  sentencepiece::SentencePieceProcessor library;
  REQUIRE(library.LoadFromSerializedProto(model()).ok());
  const auto ours = parse(model());
  CHECK(ours->vocab_size() == 320);
  CHECK(ours->special().pad == 0);
  CHECK(ours->special().unk == 1);
  CHECK(ours->special().bos == 2);
  CHECK(ours->special().eos == 3);
  for (const std::string& text : texts()) {
    CAPTURE(text);
    const auto expected = library.EncodeAsIds(text);
    const auto ids = ours->encode(text);
    CHECK(ids == expected);
    CHECK(ours->encode_dropout(text, 0, 7, 9) == expected);
    CHECK(ours->decode(ids) == library.DecodeIds(expected));
  }
  CHECK(ours->decode(std::vector<int32_t>{2, 1, 0, 3, 1}) == library.DecodeIds({2, 1, 0, 3, 1}));
}

TEST_CASE("sentencepiece: user-defined pieces, byte fallback and unigram models, equal to the library") {
  std::string lines;
  for (const std::string& caption : captions())
    if (!strip(to_code_points(caption)).empty()) lines += caption + "\n";
  const test::ScratchDir scratch;
  write_file_atomically(scratch / "lines.txt", lines);
  std::vector<std::string> all = texts();
  for (const char* more : {"a red<mask> cat", "<mask><mask>", "redder tired <sep> REDRED",
                           "<mas k> <0x41> [UNK]", "avocadored 🐱字 x<mask>🐱", "  <mask>  a ", "naïve▁red"})
    all.emplace_back(more);
  for (const char* kind : {"bpe", "unigram"}) {
    for (const bool bytes : {false, true}) {
      CAPTURE(kind);
      CAPTURE(bytes);
      const std::string prefix = (scratch / "m").string();
      const auto trained = sentencepiece::SentencePieceTrainer::Train(
          fmt::format("--input={} --model_prefix={} --vocab_size={} --model_type={} --byte_fallback={} "
                      "--user_defined_symbols=<mask>,red,<sep> --pad_id=3 --unk_piece=[UNK] --unk_surface=?? "
                      "--hard_vocab_limit=false --minloglevel=4",
                      (scratch / "lines.txt").string(), prefix, bytes ? 500 : 250, kind, bytes));
      REQUIRE_MESSAGE(trained.ok(), trained.error_message());
      const std::string model = file_content(prefix + ".model");
      sentencepiece::SentencePieceProcessor library;
      REQUIRE(library.LoadFromSerializedProto(model).ok());
      const auto ours = parse(model);
      for (const std::string& text : all) {
        CAPTURE(text);
        const auto expected = library.EncodeAsIds(text);
        CHECK(ours->encode(text) == expected);
        for (size_t from = 0; from < expected.size(); ++from) {
          const std::vector<int32_t> part(expected.begin() + static_cast<long>(from), expected.end());
          CHECK(ours->decode(part) == library.DecodeIds(part));
        }
      }
      if (kind == std::string("unigram"))
        CHECK_THROWS_WITH_AS(ours->encode_dropout("a red cat", 0.1f, 1, 1), doctest::Contains("BPE dropout"),
                             Error);
    }
  }
}

TEST_CASE("sentencepiece: case, width and spaces do not matter") {
  const auto tokenizer = parse(model());
  const auto ids = tokenizer->encode("a red circle");
  CHECK(tokenizer->encode("A  RED\u00A0Circle ") == ids);
  CHECK(tokenizer->encode("Ａ ｒｅｄ circle") == ids);
  CHECK(tokenizer->decode(ids) == "a red circle");
  CHECK(tokenizer->encode("🐱🐶") == std::vector<int32_t>{tokenizer->encode(" ◊")[0], 1});  // a run is one unk
}

TEST_CASE("sentencepiece: BPE dropout") {
  const auto tokenizer = parse(model());
  const std::string text = "a green armchair in the shape of an avocado on a white background";
  const auto whole = tokenizer->encode(text);

  const auto characters = tokenizer->encode_dropout(text, 1, 3, 4);
  CHECK(characters.size() == text.size() + 1);
  CHECK(tokenizer->decode(characters) == text);

  std::set<std::vector<int32_t>> seen;
  size_t tokens = 0;
  for (uint64_t index = 0; index < 200; ++index) {
    const auto ids = tokenizer->encode_dropout(text, 0.1f, 3, index);
    CHECK(tokenizer->decode(ids) == text);
    CHECK(ids == tokenizer->encode_dropout(text, 0.1f, 3, index));
    CHECK(ids != tokenizer->encode_dropout(text, 0.9f, 3, index));
    seen.insert(ids);
    tokens += ids.size();
  }
  CHECK(seen.size() > 100);
  const double mean = static_cast<double>(tokens) / 200;
  CHECK(mean > 1.05 * whole.size());
  CHECK(mean < 2.0 * whole.size());
  CHECK(tokenizer->encode_dropout(text, 0.5f, 3, 0) != tokenizer->encode_dropout(text, 0.5f, 4, 0));
  CHECK(tokenizer->encode_dropout(text, 0.5f, 3, 0) !=
        tokenizer->encode_dropout(text, 0.5f, 3, uint64_t{1} << 32));
  CHECK_THROWS_AS(tokenizer->encode_dropout(text, 1.5f, 3, 0), Error);
}

TEST_CASE("sentencepiece: dropout of one merge has the published distribution") {
  // "ab" with the one rule a b: split with probability p, whole with 1 - p, independently in every word.
  SentencePieceModel tiny;
  tiny.model_type = 2;
  using Type = SentencePieceModel::Type;
  tiny.pieces = {{"<unk>", 0, Type::unknown}, {"\u2581", -2}, {"a", -3}, {"b", -4}, {"ab", -1}};
  const SentencePieceTokenizer tokenizer(tiny, "tiny");
  CHECK(tokenizer.encode("ab") == std::vector<int32_t>{1, 4});
  int split = 0;
  constexpr int texts = 500, words = 8;
  for (uint64_t index = 0; index < texts; ++index)
    for (const int32_t id : tokenizer.encode_dropout("ab ab ab ab ab ab ab ab", 0.3f, 1, index))
      split += id == 2;
  CHECK(std::abs(split / double{texts * words} - 0.3) < 4 * std::sqrt(0.3 * 0.7 / (texts * words)));
}

TEST_CASE("sentencepiece: training is deterministic and its problems are plain errors") {
  CHECK(train({.vocab_size = 320}) == model());
  CHECK_THROWS_AS(train({.vocab_size = 320}, {}), Error);
  CHECK_THROWS_AS(train({.vocab_size = 320}, {"", "  "}), Error);
  CHECK_THROWS_AS(train({.vocab_size = 1}), Error);
  CHECK_THROWS_AS(train({.vocab_size = 20}), Error);  // fewer than there are characters
  try {
    train({.vocab_size = 9000});
    FAIL("trained more pieces than the captions yield");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::input);
    CHECK(std::string(error.what())
              .starts_with("a tokenizer of 9000 pieces cannot be trained on these captions: "
                           "Vocabulary size too high (9000). Please set it to a value <= "));
  }
  CHECK_THROWS_WITH_AS(train({.vocab_size = 320}, {"fine", "bad \xFF byte"}),
                       "caption 2 is not valid UTF-8 at byte 4 (0xff); save it as UTF-8", Error);
  // The library would leave it out in silence, and then say nothing of why no caption is left.
  CHECK_THROWS_WITH_AS(
      train({.vocab_size = 320}, {"fine", std::string(70000, 'a')}),
      "caption 2 has 70000 bytes; a tokenizer is trained on captions of at most 65536: shorten "
      "it or leave it out",
      Error);
  const auto digits = parse(train({.vocab_size = 320, .split_digits = true}));
  CHECK(digits->encode("12").size() == digits->encode("1").size() + 1);
  CHECK(digits->encode("10")[0] == digits->encode("12")[0]);
}

TEST_CASE("sentencepiece: other kinds of model and damaged files are refused, never followed") {
  SentencePieceModel good;
  good.model_type = 2;
  using Type = SentencePieceModel::Type;
  good.pieces = {{"<unk>", 0, Type::unknown}, {"a", -1}};
  CHECK_NOTHROW(SentencePieceTokenizer(good, "m"));
  const auto refused = [&](auto change) {
    SentencePieceModel bad = good;
    change(bad);
    CHECK_THROWS_AS(SentencePieceTokenizer(bad, "m"), Error);
  };
  refused([](auto& m) { m.model_type = 3; });  // words
  refused([](auto& m) { m.pieces.push_back({"b", 0, Type::unused}); });
  refused([](auto& m) { m.byte_fallback = true; });
  refused([](auto& m) { m.pieces.clear(); });
  refused([](auto& m) { m.pieces.erase(m.pieces.begin()); });
  refused([](auto& m) { m.pieces.push_back({"a", -2}); });
  refused([](auto& m) { m.pieces.push_back({"\xFF", -2}); });
  refused([](auto& m) { m.pieces.push_back({"b", NAN}); });
  refused([](auto& m) { m.pieces.push_back({"<0x0>", 0, Type::byte}); });
  refused([](auto& m) { m.pieces.resize(4, {"<0x00>", 0, Type::byte}); });
  refused([](auto& m) { m.pieces.push_back({std::string(600, 'a'), -2}); });
  refused([](auto& m) { m.character_map = std::string("\xFF\xFF\xFF\xFF\0", 5); });

  for (size_t size = 0; size < model().size(); size = size * 5 / 4 + 1)
    CHECK_THROWS_AS(parse(model().substr(0, size)), Error);
  RandomStream draws(6, Stream::test);
  int accepted = 0;
  for (int i = 0; i < 60; ++i) {  // flipped bytes: refused, or still a tokenizer that stays in bounds
    std::string bytes = model();
    for (int flips = 0; flips < 20; ++flips)
      bytes[draws.below(static_cast<uint32_t>(bytes.size()))] = static_cast<char>(draws.bits());
    try {
      const auto tokenizer = parse(bytes);
      for (const char* text : {"An armchair, ﬁne ①", "漢字 ½ İ"})
        for (const int32_t id : tokenizer->encode(text)) CHECK((id >= 0 && id < tokenizer->vocab_size()));
      ++accepted;
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::model);
    }
  }
  CHECK(accepted > 0);
}

TEST_CASE("sentencepiece: a megabyte is tokenised in well below a second") {
  const auto tokenizer = parse(model());
  std::string words, one_word(1 << 20, 'a');
  while (words.size() < 1 << 20) words += "an armchair in the shape of an avocado, naïve; ";
  for (const std::string& text : {words, one_word}) {
    const auto start = std::chrono::steady_clock::now();
    const size_t count = tokenizer->encode(text).size();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    MESSAGE(count << " tokens of " << text.size() << " bytes in " << seconds.count() << " s");
    CHECK(count > 10000);
    CHECK(seconds.count() < 10);  // generous for sanitizers; a loop of quadratic time takes hours
  }
}
