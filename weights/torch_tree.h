// Finds the tensors and plain values in the object graph of a PyTorch pickle.
#pragma once

#include <functional>
#include <span>
#include <string_view>

#include "weights/pickle.h"
#include "weights/state_file.h"

namespace dalle1::weights {

/// What a persistent id says of a storage.
struct StorageReference {
  std::string_view key;
  DType dtype = DType::f32;
  int64_t numel = 0;
};

/// True for the persistent ids by which legacy files name classes.
bool is_persistent_class(const Pickle& pickle, Pickle::Id persistent);

/// Error(model) when the persistent id describes no storage or its size overflows.
StorageReference storage_reference(const std::string& file, const Pickle& pickle, Pickle::Id persistent);

/// Returns the `size` bytes of a storage, or throws.
using StorageReader = std::function<std::span<const std::byte>(const StorageReference&, uint64_t size)>;

/// Fills `state` with what the root object holds: a dict of names, a dict that has one under "state_dict",
/// "model_state_dict", "model", "module" or "weights" (the first of these), a pickled nn.Module (its
/// `_modules`,
/// `_parameters`, `_buffers`) or a TorchScript module (all its attributes). Every tensor must lie inside its
/// storage. Tensors that are not row-major are copied; all copies together may take as many bytes as the file
/// has.
void walk_torch_tree(const FileBytes& file, const Pickle& pickle, const StorageReader& storage,
                     StateFile& state);

}  // namespace dalle1::weights
