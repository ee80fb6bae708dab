// What a sentencepiece model file holds, read from its protobuf without the library: the library's loader
// trusts the normalisation tables of a file, and this program opens files that it did not write.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace dalle1::text {

struct SentencePieceModel {
  enum class Type { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };
  struct Piece {
    std::string text;  // UTF-8, spaces as U+2581
    float score = 0;
    Type type = Type::normal;
  };
  std::vector<Piece> pieces;

  int model_type = 1;  // 1 unigram, 2 BPE, 3 word, 4 character
  bool whitespace_suffix = false;
  bool byte_fallback = false;  // what no piece covers becomes the byte pieces of its UTF-8
  std::string bos_piece = "<s>", eos_piece = "</s>", pad_piece = "<pad>";
  std::string unknown_surface = " \u2047 ";

  std::string character_map;  // see CharacterMap
  bool add_dummy_prefix = true, remove_extra_whitespaces = true, escape_whitespaces = true;
};

/// Reads the fields above of sentencepiece_model.proto (sentencepiece 0.1.97); other fields are skipped.
/// Throws Error(model) naming `name` and the byte on a malformed file.
SentencePieceModel read_sentencepiece_model(std::span<const uint8_t> bytes, const std::string& name);

}  // namespace dalle1::text
