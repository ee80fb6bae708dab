// A captions.jsonl: its rows in memory, the pictures read on demand.
#include <map>
#include <nlohmann/json.hpp>

#include "core/data/caption_text.h"
#include "core/data/data_lines.h"
#include "core/data/pair_source.h"
#include "core/error.h"
#include "core/image/image.h"
#include "core/io/file_bytes.h"

namespace dalle1 {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxLine = 1 << 20;

class JsonlSource : public PairSource {
 public:
  JsonlSource(const fs::path& file, const fs::path& folder)
      : folder_(folder.empty() ? file.parent_path() : folder) {
    DataLines lines(file);
    while (const auto line = lines.next()) {
      // A whole data set as one value: no line of it can be used.
      check(!entries_.empty() || line->find_first_not_of(" \t\xef\xbb\xbf") != line->find('['),
            ErrorKind::input, "{}: a JSON array; write one object a line", file.string());
      try {
        add(*line, lines.where());
      } catch (const Error& error) {
        problems_.emplace(entries_.size(), error.what());
        entries_.emplace_back();
      }
    }
    check(!entries_.empty(), ErrorKind::input, "{}: holds no pictures", file.string());
    check(problems_.size() < size(), ErrorKind::input, "{}", problems_.begin()->second);
  }
  uint64_t size() const override { return entries_.size(); }
  DataSummary summary() const override {
    DataSummary summary{.samples = size()};
    for (const Entry& entry : entries_) summary.without_caption += entry.caption.empty();
    summary.without_caption -= problems_.size();
    return summary;
  }

  Pair picture(uint64_t index) const override {
    const Entry& entry = good(index);
    const fs::path picture = folder_ / entry.image;
    return {picture.string(), "", read_file(picture, kMaxImageFileBytes)};
  }
  std::string caption(uint64_t index) const override { return good(index).caption; }

 private:
  struct Entry {
    std::string image, caption;
  };

  const Entry& good(uint64_t index) const {
    const auto problem = problems_.find(index);
    check(problem == problems_.end(), ErrorKind::input, "{}", problem->second);
    return entries_.at(index);
  }

  void add(std::string_view line, const std::string& where) {
    check(line.size() <= kMaxLine, ErrorKind::input, "{}: {} bytes; at most {} are read", where, line.size(),
          kMaxLine);
    const auto row = parse_json_object(line, where);
    const std::string image = picture_path_of(row);
    check(!image.empty(), ErrorKind::input, "{}: no \"image\" with a path", where);
    const auto captions = captions_of(row, where);
    check(captions.has_value(), ErrorKind::input, "{}: no \"caption\" with a text", where);
    for (const std::string& caption : *captions) entries_.push_back({image, caption});
    if (captions->empty()) entries_.push_back({image, ""});
  }

  fs::path folder_;
  std::vector<Entry> entries_;
  std::map<uint64_t, std::string> problems_;  // why an entry cannot be used
};

}  // namespace

std::unique_ptr<PairSource> open_captions_jsonl(const fs::path& file, const fs::path& folder) {
  return std::make_unique<JsonlSource>(file, folder);
}

}  // namespace dalle1
