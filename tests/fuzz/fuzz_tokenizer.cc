// Tokenizer files of all kinds.
#include "tests/fuzz/fuzz.h"

#include <span>

#include "core/text/tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return dalle1::fuzz::run(data, size, [](std::string input) {
    const std::span bytes(reinterpret_cast<const uint8_t*>(input.data()), input.size());
    const auto tokenizer = dalle1::text::parse_tokenizer(bytes, "input");
    tokenizer->encode("a red circle on a blue square");
  });
}
