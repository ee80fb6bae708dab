// A whole model of random weights that draws in seconds: the paper's 64 layers, narrow, on a small grid.
#pragma once

#include <filesystem>

namespace dalle1::test {

struct TinyModel {
  int layers = 64;
  int width = 16;
  int grid = 8;          ///< Pictures have 8 times as many pixels a side.
  int text_length = 16;  ///< Text slots; CLIP's are as many and two more.
  int codes = 32;        ///< Of the dVAE.
  bool clip = true;
  bool broken = false;  ///< One weight of the transformer is NaN.
  bool blank = false;   ///< The dVAE decodes everything to one grey.
};

/// Writes a native model directory. Equal arguments give equal files.
void write_tiny_model(const std::filesystem::path& folder, const TinyModel& model = {});

/// The model of the default arguments, made once per test process.
const std::filesystem::path& tiny_model();
/// The same with 4 layers, for tests that run the program many times.
const std::filesystem::path& shallow_model();

}  // namespace dalle1::test
