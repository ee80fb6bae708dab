// What wraps all tensor names of a file: wrappers of training code put a component in front of every name
// ("module." of parallel training, "_orig_mod." of compiled models, "model." of Lightning).
#pragma once

#include <string>

#include "weights/state_file.h"

namespace dalle1::weights {

/// The component, without its dot, that begins every tensor's name; empty when they share none.
std::string shared_component(const StateFile& file);

/// Removes it, once, from every name; false, and nothing is changed, when the names share none.
bool strip_shared_component(StateFile& file);

/// Removes "module", "_orig_mod" and "model" as often as they come.
void strip_wrappers(StateFile& file);

/// The tensors whose names begin with "COMPONENT.", without it.
StateFile tensors_under(const StateFile& file, const std::string& component);

}  // namespace dalle1::weights
