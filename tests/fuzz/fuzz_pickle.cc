// The unpickler alone.
#include "tests/fuzz/fuzz.h"

#include "weights/pickle.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return dalle1::fuzz::run(data, size, [](std::string input) {
    const auto file = dalle1::weights::bytes_in_memory("input", std::move(input));
    const dalle1::weights::Pickle pickle(file, 0, file.size());
    // Every value must be readable without leaving the file.
    for (dalle1::weights::Pickle::Id id = 0; id < pickle.size(); ++id)
      if (pickle.kind(id) == dalle1::weights::Pickle::Kind::text && pickle.text(id).size() > file.size())
        __builtin_trap();
  });
}
