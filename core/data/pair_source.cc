#include "core/data/pair_source.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/data/file_bytes.h"
#include "core/data/pair_fields.h"
#include "core/error.h"
#include "core/image/image.h"

namespace dalle1 {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr size_t kMaxLine = 1 << 20;

/// Files of `folder`, or of everything below it, whose names pass; sorted by path, without hidden ones.
template <typename Iterator, typename Accept>
std::vector<fs::path> list_files(const fs::path& folder, const Accept& accept) {
  std::vector<fs::path> files;
  std::error_code error;
  Iterator it(folder, error);
  for (; !error && it != Iterator(); it.increment(error)) {
    const bool hidden = it->path().filename().string().starts_with('.');
    if constexpr (std::is_same_v<Iterator, fs::recursive_directory_iterator>) {
      if (hidden) it.disable_recursion_pending();
    }
    if (!hidden && accept(it->path()) && it->is_regular_file()) files.push_back(it->path());
  }
  check(!error, ErrorKind::input, "{}: cannot be listed: {}", folder.string(), error.message());
  std::sort(files.begin(), files.end());
  return files;
}

class FolderSource : public PairSource {
 public:
  explicit FolderSource(std::vector<fs::path> pictures) : pictures_(std::move(pictures)) {}
  uint64_t size() const override { return pictures_.size(); }
  Pair read(uint64_t index) const override {
    const fs::path& picture = pictures_.at(index);
    Pair pair{picture.string(), "", read_file(picture, kMaxImageFileBytes)};
    const fs::path text = fs::path(picture).replace_extension(".txt");
    if (fs::exists(text)) pair.caption = trimmed_caption(read_file(text, kMaxCaptionBytes));
    return pair;
  }

 private:
  std::vector<fs::path> pictures_;
};

class JsonlSource : public PairSource {
 public:
  explicit JsonlSource(const fs::path& file) : folder_(file.parent_path()) {
    std::ifstream stream(file, std::ios::binary);
    check(stream.is_open(), ErrorKind::input, "{}: cannot be opened", file.string());
    std::string line;
    for (size_t number = 1; std::getline(stream, line); ++number) {
      const std::string where = fmt::format("{}, line {}", file.string(), number);
      check(line.size() <= kMaxLine, ErrorKind::input, "{}: {} bytes; at most {} are read", where,
            line.size(), kMaxLine);
      if (line.find_first_not_of(" \t\r") != std::string::npos) add(line, where);
    }
    check(!stream.bad(), ErrorKind::input, "{}: cannot be read to its end", file.string());
    check(!entries_.empty(), ErrorKind::input, "{}: holds no pictures", file.string());
  }
  uint64_t size() const override { return entries_.size(); }
  Pair read(uint64_t index) const override {
    const Entry& entry = entries_.at(index);
    const fs::path picture = folder_ / entry.image;
    return {picture.string(), entry.caption, read_file(picture, kMaxImageFileBytes)};
  }

 private:
  struct Entry {
    std::string image, caption;
  };

  void add(const std::string& line, const std::string& where) {
    const Json row = Json::parse(line, nullptr, false);
    check(row.is_object(), ErrorKind::input, "{}: not a JSON object", where);
    const auto image = row.find("image"), caption = row.find("caption");
    check(image != row.end() && image->is_string(), ErrorKind::input, "{}: no \"image\" with a path", where);
    check(caption != row.end() && (caption->is_string() || caption->is_array()), ErrorKind::input,
          "{}: no \"caption\" with a text", where);
    if (caption->is_string()) {
      entries_.push_back({image->get<std::string>(), caption->get<std::string>()});
      return;
    }
    for (const Json& text : *caption) {
      check(text.is_string(), ErrorKind::input, "{}: a caption that is not a text", where);
      entries_.push_back({image->get<std::string>(), text.get<std::string>()});
    }
  }

  fs::path folder_;
  std::vector<Entry> entries_;
};

std::vector<fs::path> tar_files_in(const fs::path& folder) {
  return list_files<fs::directory_iterator>(folder,
                                            [](const fs::path& path) { return path.extension() == ".tar"; });
}

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

std::unique_ptr<PairSource> open_picture_folder(const fs::path& folder) {
  auto pictures = list_files<fs::recursive_directory_iterator>(
      folder, [](const fs::path& path) { return is_picture_field(path.extension().string()); });
  check(!pictures.empty(), ErrorKind::input, "{}: holds no .png or .jpg pictures", folder.string());
  return std::make_unique<FolderSource>(std::move(pictures));
}

std::unique_ptr<PairSource> open_captions_jsonl(const fs::path& file) {
  return std::make_unique<JsonlSource>(file);
}

std::unique_ptr<PairSource> open_pairs(const std::string& where) {
  std::error_code unreadable;  // then opening it says why
  if (fs::is_directory(where, unreadable)) {
    if (fs::exists(fs::path(where) / "captions.jsonl", unreadable))
      return open_captions_jsonl(fs::path(where) / "captions.jsonl");
    const std::vector<fs::path> shards = tar_files_in(where);
    return shards.empty() ? open_picture_folder(where) : open_tar_shards(shards);
  }
  if (where.ends_with(".jsonl")) return open_captions_jsonl(where);
  if (!fs::exists(where, unreadable) && where.find('{') != std::string::npos) {
    const std::vector<std::string> names = expand_braces(where);
    return open_tar_shards({names.begin(), names.end()});
  }
  check(where.ends_with(".tar"), ErrorKind::input,
        "{}: {}; data is a folder of pictures, a captions.jsonl or .tar shards", where,
        fs::exists(where, unreadable) ? "not a kind of data" : "no such file or folder");
  return open_tar_shards({where});
}

}  // namespace dalle1
