// A device that computes nothing and counts memory: models that run on it tell what they would take.
#pragma once

#include <memory>

#include "core/tensor/device.h"

namespace dalle1 {

class CountingDevice : public Device {
 public:
  /// Most bytes that the device would have had from the system at once: live tensors, what backends derive
  /// from weights, and blocks kept for reuse.
  virtual size_t footprint() const = 0;
};

/// Allocates as `like` does: same sizes, same reuse, same layouts, same copies of weights. Addresses are
/// never read or written. Small tensors from the host read back as they were, all others as zeros.
std::shared_ptr<CountingDevice> make_counting_device(Device& like);

}  // namespace dalle1
