#include "core/data/pair_source.h"

#include <algorithm>

#include "core/data/data_lines.h"
#include "core/data/folder_files.h"
#include "core/data/pair_fields.h"
#include "core/error.h"

namespace dalle1 {
namespace {

namespace fs = std::filesystem;

/// What stands for one group: "a,b" or "07..12".
std::vector<std::string> alternatives(const std::string& group, std::string_view pattern) {
  std::vector<std::string> out;
  const size_t dots = group.find("..");
  if (dots == std::string::npos) {
    for (size_t start = 0; start <= group.size();) {
      const size_t comma = std::min(group.find(',', start), group.size());
      out.push_back(group.substr(start, comma - start));
      start = comma + 1;
    }
    return out;
  }
  const std::string low = group.substr(0, dots), high = group.substr(dots + 2);
  const auto number = [](const std::string& text) {
    return !text.empty() && text.size() <= 9 && text.find_first_not_of("0123456789") == std::string::npos;
  };
  check(number(low) && number(high), ErrorKind::usage, "'{}': '{{{}}}' is not a range of numbers", pattern,
        group);
  const int first = std::stoi(low), last = std::stoi(high);
  check(first <= last && last - first < 1'000'000, ErrorKind::usage,
        "'{}': '{{{}}}' is not a range of up to a million", pattern, group);
  for (int i = first; i <= last; ++i) out.push_back(fmt::format("{:0{}}", i, low.size()));
  return out;
}

/// What a folder of shards has besides them.
DataSummary beside_shards(const FolderFiles& files) {
  DataSummary beside = files.summary;
  for (const auto* list : {&files.pictures, &files.compressed_tars})
    for (const fs::path& file : *list)
      ++beside.left_out["." + lower_ending(file.string()) + " beside the shards"];
  return beside;
}

}  // namespace

std::vector<std::string> expand_braces(std::string_view pattern) {
  std::vector<std::string> out = {""};
  const auto append = [&out, pattern](const std::vector<std::string>& ends) {
    check(out.size() * ends.size() <= 1'000'000, ErrorKind::usage,
          "'{}' stands for more than a million names", pattern);
    std::vector<std::string> longer;
    for (const std::string& start : out) {
      for (const std::string& end : ends) longer.push_back(start + end);
    }
    out = std::move(longer);
  };
  size_t position = 0;
  for (size_t open; (open = pattern.find('{', position)) != std::string_view::npos;) {
    const size_t close = pattern.find('}', open);
    check(close != std::string_view::npos, ErrorKind::usage, "'{}': '{{' without '}}'", pattern);
    append({std::string(pattern.substr(position, open - position))});
    append(alternatives(std::string(pattern.substr(open + 1, close - open - 1)), pattern));
    position = close + 1;
  }
  append({std::string(pattern.substr(position))});
  return out;
}

Pair PairSource::read(uint64_t index) const {
  Pair pair = picture(index);
  pair.caption = caption(index);
  return pair;
}

fs::path captions_file_in(const fs::path& folder) {
  for (const char* name : {"captions.jsonl", "metadata.jsonl"})
    if (std::error_code unreadable; fs::exists(folder / name, unreadable)) return folder / name;
  return {};
}

std::unique_ptr<PairSource> open_pairs(const std::string& where) {
  std::error_code unreadable;  // then opening it says why
  if (fs::is_directory(where, unreadable)) {
    if (const fs::path captions = captions_file_in(where); !captions.empty())
      return open_captions_jsonl(captions);
    const FolderFiles files = list_folder(where, /*recursive=*/false);
    if (!files.tars.empty()) return open_tar_shards(files.tars, beside_shards(files));
    if (files.pictures.empty() && !files.compressed_tars.empty())
      return open_tar_shards(files.compressed_tars);  // which refuses them
    return open_picture_folder(where);
  }
  const std::string ending = lower_ending(where);
  if (ending == "jsonl") return open_captions_jsonl(where);
  const bool exists = fs::exists(where, unreadable);
  if (!exists && where.find('{') != std::string::npos) {
    const std::vector<std::string> names = expand_braces(where);
    return open_tar_shards({names.begin(), names.end()});
  }
  if (exists && (ending == "tar" || is_compressed_tar(where))) return open_tar_shards({where});
  if (exists) DataLines refuses_other_compressed(where);
  fail(ErrorKind::input, "{}: {}; data is a folder of pictures, a captions.jsonl or .tar shards", where,
       exists ? "not a kind of data" : "no such file or folder");
}

}  // namespace dalle1
