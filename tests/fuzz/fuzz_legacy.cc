// The container of torch.save before 1.6: pickles, storages and the walk over the objects.
#include "tests/fuzz/fuzz.h"

#include "weights/torch_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return dalle1::fuzz::run(data, size, [](std::string input) {
    dalle1::weights::read_torch_legacy(dalle1::weights::bytes_in_memory("input", std::move(input)));
  });
}
