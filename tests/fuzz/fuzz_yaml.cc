// Published YAML configurations.
#include "tests/fuzz/fuzz.h"

#include "weights/yaml.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return dalle1::fuzz::run(data, size,
                           [](std::string input) { dalle1::weights::parse_simple_yaml("input", input); });
}
