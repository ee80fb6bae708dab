#include "core/data/folder_files.h"

#include <algorithm>

#include "core/data/pair_fields.h"
#include "core/error.h"

namespace dalle1 {
namespace {

namespace fs = std::filesystem;

/// Where a file of this name belongs; null when it is no data.
std::vector<fs::path>* list_for(const std::string& name, FolderFiles& files) {
  const FieldKind kind = field_kind(name);
  if (kind == FieldKind::picture) return &files.pictures;
  if (kind == FieldKind::text) return &files.texts;
  if (lower_ending(name) == "tar") return &files.tars;
  return is_compressed_tar(name) ? &files.compressed_tars : nullptr;
}

void sort_in(const fs::directory_entry& entry, FolderFiles& files) {
  const std::string name = entry.path().filename().string();
  std::vector<fs::path>* list = list_for(name, files);
  const bool other_picture = field_kind(name) == FieldKind::other_picture;
  std::error_code unreadable;
  if (is_hidden(name)) {
    if (list || other_picture || entry.is_directory(unreadable)) ++files.summary.left_out[left_out::kHidden];
  } else if (other_picture) {
    ++files.summary.left_out["." + lower_ending(name)];
  } else if (list && entry.is_regular_file(unreadable)) {
    list->push_back(entry.path());
  } else if (list && !entry.is_directory(unreadable)) {
    ++files.summary.left_out[left_out::kNoFile];
  }
}

template <typename Iterator>
FolderFiles list(const fs::path& folder) {
  FolderFiles files;
  std::error_code error;
  for (Iterator it(folder, error); !error && it != Iterator(); it.increment(error)) {
    sort_in(*it, files);
    if constexpr (std::is_same_v<Iterator, fs::recursive_directory_iterator>) {
      if (is_hidden(it->path().filename().string())) it.disable_recursion_pending();
    }
  }
  check(!error, ErrorKind::input, "{}: cannot be listed: {}", folder.string(), error.message());
  for (auto* list : {&files.pictures, &files.texts, &files.tars, &files.compressed_tars})
    std::sort(list->begin(), list->end());
  return files;
}

}  // namespace

FolderFiles list_folder(const fs::path& folder, bool recursive) {
  return recursive ? list<fs::recursive_directory_iterator>(folder) : list<fs::directory_iterator>(folder);
}

}  // namespace dalle1
