// safetensors files.
#include "tests/fuzz/fuzz.h"

#include "weights/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return dalle1::fuzz::run(data, size, [](std::string input) {
    dalle1::weights::read_safetensors(dalle1::weights::bytes_in_memory("input", std::move(input)));
  });
}
