// From a checkpoint's tensors into a model's parameters, and back into a file. Mismatch is an error, always.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "core/nn/parameters.h"
#include "weights/checkpoint.h"
#include "weights/part_file.h"
#include "weights/safetensors.h"

namespace dalle1::weights {

/// Calls a visitor with every parameter, as Module::visit does.
using VisitParameters = std::function<void(const ParameterVisitor&)>;

/// Error(model) that lists by name the tensors of `expected` (only names and shapes count) that are missing,
/// those that are there beside them, and those whose shapes differ.
void check_tensors(const std::vector<TensorSpec>& expected, const Checkpoint& checkpoint);

/// Names and shapes of all visited parameters, without the scales of i8 ones (NAME.scale, visited after
/// NAME).
std::vector<TensorSpec> parameters_of(const VisitParameters& visit);

/// Fills every visited parameter, in place and in its own dtype and device, from the tensor of its name; f16,
/// bf16, f64 and i8 with `.scale` are converted; a parameter of i8 is followed by its scale and takes the
/// rows of the file as they are where it stores i8. Error(model) lists by name the tensors that are missing,
/// that are there but belong to no parameter, and those whose shapes differ; then nothing has been changed.
void load_parameters(const VisitParameters& visit, const Checkpoint& checkpoint);
inline void load_parameters(Module& model, const Checkpoint& checkpoint) {
  load_parameters([&](const ParameterVisitor& visitor) { model.visit(visitor); }, checkpoint);
}

/// Writes a model's parameters as a native part file ("dvae", "transformer", "clip" or "captioner") with
/// matrices in `dtype` (f32, f16, bf16 or i8) and vectors in f32, one tensor in host memory at a time.
void save_parameters(const VisitParameters& visit, const std::filesystem::path& file, const std::string& part,
                     const nlohmann::json& config, DType dtype = DType::f32);
inline void save_parameters(Module& model, const std::filesystem::path& file, const std::string& part,
                            const nlohmann::json& config, DType dtype = DType::f32) {
  save_parameters([&](const ParameterVisitor& visitor) { model.visit(visitor); }, file, part, config, dtype);
}

}  // namespace dalle1::weights
