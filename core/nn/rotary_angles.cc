#include "core/nn/rotary_angles.h"

#include <cmath>
#include <numbers>

namespace dalle1::nn {
namespace {

// Radians a cell by which the last pair of an axis turns; the first turns by one. 32 cells are less than half
// a turn of the last.
constexpr double kSlowestTurn = 0.02;

// What DALLE-pytorch has for the picture in the text's order, and for the text on the picture's axes.
constexpr float kPictureInText = 8192;
constexpr double kTextOnAxes = -10;
constexpr float kTextBase = 10000;                  // of the text's wavelengths (Vaswani et al. 2017)
constexpr double kFewestTurns = 1, kMostTurns = 5;  // half turns from the middle of an axis to its end

// Value `i` of `count` from `first` to `last` in even steps.
double step_between(double first, double last, int32_t i, int32_t count) {
  return count > 1 ? first + (last - first) * i / (count - 1) : first;
}

}  // namespace

std::vector<double> grid_rotary_angles(const RotaryPlaces& places, int32_t head_size) {
  const int32_t pairs = head_size / 2, axis = pairs / 2;
  std::vector<double> angles(static_cast<size_t>(places.text) * pairs);
  for (int32_t cell = 0; cell < places.grid * places.grid; ++cell) {
    for (int32_t i = 0; i < pairs; ++i) {
      const double frequency = std::pow(kSlowestTurn, static_cast<double>(i % axis) / axis);
      angles.push_back(frequency * (i < axis ? cell / places.grid : cell % places.grid));
    }
  }
  return angles;
}

std::vector<double> dalle_pytorch_rotary_angles(const RotaryPlaces& places, int32_t head_size) {
  const int32_t pairs = head_size / 2, third = dalle_pytorch_rotary_third(head_size), grid = places.grid;
  std::vector<double> angles;
  for (int32_t position = 0; position < places.text + grid * grid; ++position) {
    const int32_t cell = position - places.text;
    const float order = cell < 0 ? static_cast<float>(position) : kPictureInText;
    const double row = cell < 0 ? kTextOnAxes : step_between(-1, 1, cell / grid, grid);
    const double column = cell < 0 ? kTextOnAxes : step_between(-1, 1, cell % grid, grid);
    for (int32_t i = 0; i < third; ++i) {  // in f32 as there: at 8192 its rounding shows in the logits
      const float turns =
          1.0f / std::pow(kTextBase, static_cast<float>(2 * i) / static_cast<float>(head_size / 3));
      angles.push_back(order * turns);
    }
    for (double place : {row, column})
      for (int32_t i = 0; i < third; ++i)
        angles.push_back(place * std::numbers::pi * step_between(kFewestTurns, kMostTurns, i, third));
    angles.insert(angles.end(), static_cast<size_t>(pairs - 3 * third), 0.0);
  }
  return angles;
}

}  // namespace dalle1::nn
