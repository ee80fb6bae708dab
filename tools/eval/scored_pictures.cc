#include "tools/eval/scored_pictures.h"

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "core/image/image.h"
#include "core/io/file_bytes.h"
#include "rerank/run_folder.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

// The pictures that runs kept, with their prompts.
class RunPictures final : public PairSource {
 public:
  RunPictures(const std::vector<fs::path>& folders, int keep) {
    for (const auto& folder : folders) add(folder, keep);
  }
  uint64_t size() const override { return pictures_.size(); }
  Pair picture(uint64_t index) const override {
    const auto& file = pictures_.at(index).file;
    return {file.string(), "", read_file(file, kMaxImageFileBytes)};
  }
  std::string caption(uint64_t index) const override { return pictures_.at(index).prompt; }

 private:
  struct Picture {
    fs::path file;
    std::string prompt;
  };

  void add(const fs::path& folder, int keep) {
    const auto options = rerank::options_of_run(folder);
    check(options.contains("prompt") && options["prompt"].is_string(), ErrorKind::input,
          "{} does not tell the prompt of the run", (folder / "run.json").string());
    for (const auto& row : rerank::read_results(folder / "results.jsonl"))
      if (!row.file.empty() && (keep == 0 || row.rank < keep))
        pictures_.push_back({folder / row.file, options["prompt"].get<std::string>()});
  }

  std::vector<Picture> pictures_;
};

// The folder itself, or those of its prompts; none where it is no run.
std::vector<fs::path> runs_in(const fs::path& folder) {
  if (fs::exists(folder / "results.jsonl")) return {folder};
  std::vector<fs::path> runs;
  std::error_code unreadable;  // then it is opened as data, which says why
  for (const auto& entry : fs::directory_iterator(folder, unreadable))
    if (entry.path().filename().string().starts_with("prompt-") && fs::exists(entry.path() / "results.jsonl"))
      runs.push_back(entry.path());
  std::sort(runs.begin(), runs.end());
  return runs;
}

}  // namespace

std::shared_ptr<const PairSource> open_scored_pictures(const std::string& where, const std::string& images,
                                                       int keep) {
  std::error_code unreadable;  // then opening it says why
  if (fs::is_directory(where, unreadable)) {
    const auto runs = runs_in(where);
    if (!runs.empty()) return std::make_shared<RunPictures>(runs, keep);
  }
  check(keep == 0, ErrorKind::usage, "--keep {}: {} is no folder of a run", keep, where);
  if (images.empty()) return open_pairs(where);
  check(where.ends_with(".jsonl"), ErrorKind::usage, "--images goes with a captions.jsonl, and {} is none",
        where);
  return open_captions_jsonl(where, images);
}

}  // namespace dalle1::tools
