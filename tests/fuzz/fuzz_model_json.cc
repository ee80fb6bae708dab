// model.json of a native model directory. The parts that it names are not there, or are the one that is.
#include "tests/fuzz/fuzz.h"

#include <filesystem>
#include <fstream>

#include "weights/model_dir.h"
#include "weights/safetensors.h"

namespace {

/// A folder with one small part, made once.
const std::filesystem::path& folder() {
  static const std::filesystem::path path = [] {
    std::string pattern = (std::filesystem::temp_directory_path() / "dalle1-fuzz-XXXXXX").string();
    if (!mkdtemp(pattern.data())) std::abort();
    dalle1::weights::SafetensorsWriter writer(std::filesystem::path(pattern) / "clip.safetensors", {});
    writer.commit();
    return std::filesystem::path(pattern);
  }();
  return path;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return dalle1::fuzz::run(data, size, [](std::string input) {
    std::ofstream(folder() / "model.json", std::ios::binary) << input;
    dalle1::weights::read_model_dir(folder(), true);
  });
}
