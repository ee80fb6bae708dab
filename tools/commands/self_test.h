// Whether this build computes rightly on this machine: a few checks with known answers, in about a second.
#pragma once

#include <string>
#include <vector>

#include "core/tensor/device.h"

namespace dalle1::tools {

struct SelfCheck {
  std::string name;
  bool passed = false;
  std::string detail;  ///< The measured figure.
};

std::vector<SelfCheck> run_self_test(Device& device);

}  // namespace dalle1::tools
