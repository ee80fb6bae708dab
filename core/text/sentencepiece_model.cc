#include "core/text/sentencepiece_model.h"

#include <cstring>
#include <string_view>

#include "core/error.h"

namespace dalle1::text {
namespace {

constexpr size_t max_pieces = 1 << 20;  // two bytes can claim a piece

// One field of a protobuf message: a number (wire types 0, 1 and 5) or bytes (wire type 2).
struct Field {
  uint32_t id = 0;
  int wire_type = 0;
  uint64_t number = 0;
  std::span<const uint8_t> bytes;

  bool flag() const { return number != 0; }
  std::string text() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
  float real() const {
    const auto bits = static_cast<uint32_t>(number);
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
};

/// Walks the fields of one message; nested messages are walked by a reader on their bytes.
class MessageReader {
 public:
  MessageReader(std::span<const uint8_t> bytes, const uint8_t* file, const std::string& name)
      : rest_(bytes), file_(file), name_(name) {}

  bool next(Field& field) {
    if (rest_.empty()) return false;
    const uint64_t tag = varint();
    field = {static_cast<uint32_t>(tag >> 3), static_cast<int>(tag & 7), 0, {}};
    require(tag >> 3 > 0 && tag >> 3 < (1u << 29));
    switch (field.wire_type) {
      case 0:
        field.number = varint();
        break;
      case 1:
        field.number = fixed(8);
        break;
      case 2:
        field.bytes = take(varint());
        break;
      case 5:
        field.number = fixed(4);
        break;
      default:
        require(false);
    }
    return true;
  }

  MessageReader nested(const Field& field) const {
    require(field.wire_type == 2);
    return {field.bytes, file_, name_};
  }

 private:
  void require(bool condition) const {
    check(condition, ErrorKind::model, "{}: not a sentencepiece model, or a damaged one, at byte {}", name_,
          rest_.data() - file_);
  }

  std::span<const uint8_t> take(uint64_t count) {
    require(count <= rest_.size());
    const auto out = rest_.first(count);
    rest_ = rest_.subspan(count);
    return out;
  }

  uint64_t fixed(size_t count) {
    uint64_t out = 0;
    const auto bytes = take(count);
    std::memcpy(&out, bytes.data(), count);  // both are little-endian
    return out;
  }

  uint64_t varint() {
    uint64_t out = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const uint8_t byte = take(1)[0];
      out |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return out;
    }
    require(false);
    return 0;
  }

  std::span<const uint8_t> rest_;
  const uint8_t* file_;
  const std::string& name_;
};

SentencePieceModel::Piece read_piece(MessageReader reader) {
  SentencePieceModel::Piece piece;
  for (Field field; reader.next(field);) {
    if (field.id == 1) piece.text = field.text();
    if (field.id == 2) piece.score = field.real();
    if (field.id == 3) piece.type = static_cast<SentencePieceModel::Type>(field.number);
  }
  return piece;
}

void read_trainer(MessageReader reader, SentencePieceModel& model) {
  for (Field field; reader.next(field);) {
    switch (field.id) {
      case 3:
        model.model_type = static_cast<int>(field.number);
        break;
      case 24:
        model.whitespace_suffix = field.flag();
        break;
      case 35:
        model.byte_fallback = field.flag();
        break;
      case 44:
        model.unknown_surface = field.text();
        break;
      case 46:
        model.bos_piece = field.text();
        break;
      case 47:
        model.eos_piece = field.text();
        break;
      case 48:
        model.pad_piece = field.text();
        break;
    }
  }
}

void read_normalizer(MessageReader reader, SentencePieceModel& model) {
  for (Field field; reader.next(field);) {
    switch (field.id) {
      case 2:
        model.character_map = field.text();
        break;
      case 3:
        model.add_dummy_prefix = field.flag();
        break;
      case 4:
        model.remove_extra_whitespaces = field.flag();
        break;
      case 5:
        model.escape_whitespaces = field.flag();
        break;
    }
  }
}

}  // namespace

SentencePieceModel read_sentencepiece_model(std::span<const uint8_t> bytes, const std::string& name) {
  SentencePieceModel model;
  bool has_trainer = false, has_normalizer = false;
  MessageReader reader(bytes, bytes.data(), name);
  for (Field field; reader.next(field);) {
    if (field.id == 1) model.pieces.push_back(read_piece(reader.nested(field)));
    check(model.pieces.size() <= max_pieces, ErrorKind::model, "{}: has more than {} pieces", name,
          max_pieces);
    if (field.id == 2) read_trainer(reader.nested(field), model);
    if (field.id == 3) read_normalizer(reader.nested(field), model);
    has_trainer |= field.id == 2;
    has_normalizer |= field.id == 3;
  }
  // Without them a file that was cut between two fields would be a model of another kind.
  check(has_trainer && has_normalizer, ErrorKind::model,
        "{}: not a sentencepiece model, or cut off: no {} specification", name,
        has_trainer ? "normalizer" : "trainer");
  return model;
}

}  // namespace dalle1::text
