#include "weights/torch_file.h"

#include <algorithm>
#include <unordered_map>

#include "weights/pickle.h"
#include "weights/small_json.h"
#include "weights/torch_tree.h"
#include "weights/zip.h"

namespace dalle1::weights {
namespace {

using Id = Pickle::Id;
using Kind = Pickle::Kind;

/// "NAME/data.pkl" of the archive: exactly one.
const ZipMember& find_pickle(const ZipArchive& archive) {
  const ZipMember* found = nullptr;
  for (const ZipMember& member : archive.members()) {
    if (member.name.find('/') == member.name.npos || member.name.substr(member.name.find('/')) != "/data.pkl")
      continue;
    check(!found, ErrorKind::model, "{}: two pickles, '{}' and '{}'", archive.file().name,
          printable(found ? found->name : ""), printable(member.name));
    found = &member;
  }
  check(found, ErrorKind::model,
        "{}: a zip archive that PyTorch did not write: it has no data.pkl, but {}; unpack it if a checkpoint "
        "is "
        "in it",
        archive.file().name,
        archive.members().empty() ? "nothing" : "'" + printable(archive.members().front().name) + "'");
  return *found;
}

void check_byte_order(const ZipArchive& archive, const std::string& folder) {
  const ZipMember* order = archive.find(folder + "byteorder");
  check(!order || text_of(archive.read(*order)) == "little", ErrorKind::model,
        "{}: the tensors are not little-endian", archive.file().name);
}

struct StorageType {
  DType dtype;
  int64_t numel = 0;
  uint64_t data = 0;  // offset in the file
};

/// Reads the storages that follow the pickles of a legacy file: for each key a count and the elements.
class LegacyStorages {
 public:
  LegacyStorages(const FileBytes& file, const Pickle& tree) : file_(file) {
    for (Id id = 0; id < tree.size(); ++id) {
      if (tree.kind(id) != Kind::persistent || is_persistent_class(tree, id)) continue;
      StorageReference storage = storage_reference(file.name, tree, id);
      auto [found, fresh] = storages_.try_emplace(storage.key, StorageType{storage.dtype, storage.numel});
      check(fresh || (found->second.dtype == storage.dtype && found->second.numel == storage.numel),
            ErrorKind::model, "{}: storage '{}' is described in two ways", file.name, printable(storage.key));
    }
  }

  void place(const Pickle& keys, uint64_t position) {
    check(keys.kind(keys.root()) == Kind::list, ErrorKind::model, "{}: no list of storages before byte {}",
          file_.name, position);
    size_t placed = 0;
    for (Id key : keys.items(keys.root())) {
      check(keys.kind(key) == Kind::text, ErrorKind::model, "{}: a storage key that is no text", file_.name);
      auto found = storages_.find(keys.text(key));
      check(found != storages_.end() && found->second.data == 0, ErrorKind::model,
            "{}: storage '{}' is used by no tensor or comes twice", file_.name, printable(keys.text(key)));
      auto numel = file_.integer<int64_t>(position, "the length of a storage");
      StorageType& storage = found->second;
      check(numel == storage.numel, ErrorKind::model,
            "{}: the storage at byte {} has {} elements; its tensor says {}", file_.name, position, numel,
            storage.numel);
      storage.data = position + 8;
      uint64_t size = static_cast<uint64_t>(numel) * size_of(storage.dtype);
      file_.at(storage.data, size, "the storage '" + printable(keys.text(key)) + "'");
      position = storage.data + size;
      ++placed;
    }
    check(placed == storages_.size(), ErrorKind::model, "{}: {} storages, but its tensors use {}", file_.name,
          placed, storages_.size());
    check(position == file_.size(), ErrorKind::model, "{}: {} bytes after the last storage, from byte {} on",
          file_.name, file_.size() - position, position);
  }

  std::span<const std::byte> bytes(std::string_view key, uint64_t size) const {
    return file_.bytes.subspan(storages_.at(key).data, size);
  }

 private:
  const FileBytes& file_;
  std::unordered_map<std::string_view, StorageType> storages_;
};

/// The protocol version and the description of the writing machine that precede a legacy file's object.
void check_legacy_preamble(const FileBytes& file, const Pickle& version, const Pickle& system) {
  check(version.kind(version.root()) == Kind::integer && version.integer(version.root()) == 1001,
        ErrorKind::model, "{}: a PyTorch file of an unknown version (byte {})", file.name,
        torch_legacy_magic.size() + 1);
  auto items = system.items(system.root());
  for (size_t i = 0; i + 1 < items.size(); i += 2)
    if (system.kind(items[i]) == Kind::text && system.text(items[i]) == "little_endian")
      check(system.kind(items[i + 1]) == Kind::boolean && system.boolean(items[i + 1]), ErrorKind::model,
            "{}: the tensors are not little-endian", file.name);
}

}  // namespace

StateFile read_torch_zip(const FileBytes& file) {
  ZipArchive archive(file);
  const ZipMember& member = find_pickle(archive);
  const std::string folder(member.name.substr(0, member.name.find('/') + 1));
  check(member.size <= largest_pickle, ErrorKind::model, "{}: a pickle of {} bytes; the limit is {}",
        file.name, member.size, largest_pickle);
  check_byte_order(archive, folder);
  archive.read(member);  // for its checksum
  Pickle pickle(file, member.data, member.data + member.size);
  check(pickle.end() == member.data + member.size, ErrorKind::model,
        "{}: {} bytes after the pickle, at byte {}", file.name, member.data + member.size - pickle.end(),
        pickle.end());
  const bool script = archive.find(folder + "constants.pkl") != nullptr;
  StateFile state;
  state.name = file.name;
  state.container = script ? "TorchScript" : "PyTorch zip";
  auto storage = [&](const StorageReference& reference, uint64_t size) {
    const ZipMember* data = archive.find(folder + "data/" + std::string(reference.key));
    check(data, ErrorKind::model, "{}: no zip member for storage '{}'", file.name, printable(reference.key));
    check(data->size == size, ErrorKind::model,
          "{}: storage '{}' at byte {} has {} bytes; its tensors need {}", file.name,
          printable(reference.key), data->data, data->size, size);
    return archive.read(*data);
  };
  walk_torch_tree(file, pickle, storage, state);
  return state;
}

StateFile read_torch_legacy(const FileBytes& file) {
  Pickle magic(file, 0, file.size());
  Pickle version(file, magic.end(), file.size());
  Pickle system(file, version.end(), file.size());
  check_legacy_preamble(file, version, system);
  Pickle tree(file, system.end(), file.size());
  Pickle keys(file, tree.end(), file.size());
  LegacyStorages storages(file, tree);
  storages.place(keys, keys.end());
  StateFile state;
  state.name = file.name;
  state.container = "PyTorch legacy";
  walk_torch_tree(
      file, tree,
      [&](const StorageReference& reference, uint64_t size) { return storages.bytes(reference.key, size); },
      state);
  return state;
}

}  // namespace dalle1::weights
