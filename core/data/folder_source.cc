// Pictures in a folder, each with a text file beside it.
#include <unordered_map>

#include "core/data/caption_text.h"
#include "core/data/folder_files.h"
#include "core/data/pair_fields.h"
#include "core/data/pair_source.h"
#include "core/error.h"
#include "core/image/image.h"
#include "core/io/file_bytes.h"

namespace dalle1 {
namespace {

namespace fs = std::filesystem;

std::string stem_of(const fs::path& path) { return fs::path(path).replace_extension().string(); }

class FolderSource : public PairSource {
 public:
  explicit FolderSource(FolderFiles files)
      : summary_(std::move(files.summary)), pictures_(std::move(files.pictures)) {
    summary_.samples = pictures_.size();
    match_captions(files.texts);
    if (!files.tars.empty()) summary_.left_out[".tar"] = files.tars.size();
    for (const fs::path& tar : files.compressed_tars) ++summary_.left_out["." + lower_ending(tar.string())];
  }
  uint64_t size() const override { return pictures_.size(); }
  DataSummary summary() const override { return summary_; }

  Pair picture(uint64_t index) const override {
    const fs::path& picture = pictures_.at(index);
    return {picture.string(), "", read_file(picture, kMaxImageFileBytes)};
  }
  std::string caption(uint64_t index) const override {
    if (endings_.at(index).empty()) return "";
    const fs::path text = fs::path(pictures_[index]).replace_extension(endings_[index]);
    const std::vector<uint8_t> bytes = read_file(text, kMaxCaptionBytes);
    return caption_of_text({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, text.string());
  }

 private:
  void match_captions(const std::vector<fs::path>& texts) {
    struct Text {
      std::string ending;
      bool used = false;
    };
    std::unordered_map<std::string, Text> by_stem;
    for (const fs::path& text : texts) {
      const bool is_new = by_stem.try_emplace(stem_of(text), Text{text.extension().string()}).second;
      if (!is_new) ++summary_.left_out[left_out::kRepeated];
    }
    for (const fs::path& picture : pictures_) {
      const auto text = by_stem.find(stem_of(picture));
      endings_.push_back(text == by_stem.end() ? "" : text->second.ending);
      if (text == by_stem.end()) ++summary_.without_caption;
      if (text != by_stem.end()) text->second.used = true;
    }
    for (const auto& [stem, text] : by_stem)
      if (!text.used) ++summary_.left_out[left_out::kWithoutPicture];
  }

  DataSummary summary_;
  std::vector<fs::path> pictures_;
  std::vector<std::string> endings_;  // of each picture's caption, ".txt" or ".TXT"; empty without one
};

}  // namespace

std::unique_ptr<PairSource> open_picture_folder(const fs::path& folder) {
  FolderFiles files = list_folder(folder, /*recursive=*/true);
  const std::string left_out = files.summary.left_out_line();
  check(!files.pictures.empty(), ErrorKind::input, "{}: holds no .png or .jpg pictures{}", folder.string(),
        left_out.empty() ? "" : fmt::format("; left out: {}", left_out));
  return std::make_unique<FolderSource>(std::move(files));
}

}  // namespace dalle1
