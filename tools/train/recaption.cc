// dalle1 recaption: captions by a captioner for the pictures of a training set.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "tools/models/picture_captioner.h"
#include "tools/program/command.h"
#include "tools/program/interrupt.h"
#include "tools/program/output_folder.h"
#include "tools/program/progress.h"
#include "tools/train/caption_file.h"
#include "tools/train/decoded_samples.h"
#include "tools/train/training.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

constexpr uint64_t kSamplesAtOnce = 16;

struct RecaptionOptions : CaptioningOptions {
  std::string data, out;
  double max_bad = 0.001;
  bool resume = false, overwrite = false;

  CaptionFile::Existing existing() const {
    if (resume) return CaptionFile::Existing::resume;
    return overwrite ? CaptionFile::Existing::overwrite : CaptionFile::Existing::refuse;
  }
};

fs::path folder_of(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

class Recaptioning {
 public:
  Recaptioning(const RecaptionOptions& options, const CommonOptions& common)
      : options_(options),
        common_(common),
        data_(common),
        pairs_(open_pairs(options.data)),
        captioner_(options, common),
        lock_(hold_output_folder(common, folder_of(options.out))),
        file_(options.out, settings(), options.existing()) {
    data_.add(pairs_->summary());
  }

  int run() {
    PairReaderOptions reading;
    reading.shuffle = false;
    const auto size = static_cast<double>(std::max<uint64_t>(pairs_->size(), 1));
    reading.max_bad = std::max(0.0, options_.max_bad - static_cast<double>(file_.broken()) / size);
    reading.on_bad = data_.on_bad();
    data_.print();
    PairReader reader(pairs_, reading);
    DecodedSamples samples(reader, pairs_, reading, host_threads(captioner_.device()));
    const GracefulStop stop;
    // A batch is the same samples in any run: on a GPU bits go by the shape of the work.
    while (!file_.complete() && file_.next() < reader.size() && !GracefulStop::requested())
      write_batch(samples, file_.next(), std::min(file_.next() + kSamplesAtOnce, reader.size()));
    check(file_.complete() || file_.next() == reader.size(), ErrorKind::interrupted,
          "interrupted: {} of {} samples have their captions; --resume goes on", file_.next(), reader.size());
    check(file_.captions() > 0, ErrorKind::input, "{}: no picture of it can be read", options_.data);
    if (!file_.complete()) file_.finish();
    data_.set_counts(pairs_->summary().without_caption, file_.broken());
    data_.print();
    report();
    return 0;
  }

 private:
  nlohmann::json settings() const {
    nlohmann::json settings = captioner_.identity();
    settings["data"] = options_.data;
    settings["samples"] = pairs_->size();
    return settings;
  }

  // As a captions.jsonl beside it names it; a member of a tar file has no path.
  std::string name_of(const std::string& key) const {
    return fs::exists(key) ? fs::proximate(key, folder_of(options_.out)).string() : key;
  }

  void write_batch(DecodedSamples& samples, uint64_t begin, uint64_t end) {
    std::vector<nlohmann::ordered_json> lines;
    std::vector<Image> pictures;
    for (uint64_t index = begin; index < end; ++index) {
      auto sample = samples.read(index);
      if (!sample) continue;
      lines.push_back({{"image", name_of(sample->key)}, {"caption", ""}, {"original", sample->caption}});
      pictures.push_back(std::move(sample->image));
    }
    if (!pictures.empty()) {
      const auto captions = captioner_.captions_of(pictures);
      for (size_t i = 0; i < lines.size(); ++i) lines[i]["caption"] = captions[i];
    }
    file_.add(end, end - begin - lines.size(), lines);
    if (end / 1024 > begin / 1024)
      tell(common_, {{"event", "progress"}, {"samples_done", end}, {"samples", pairs_->size()}},
           fmt::format("{} of {} samples", end, pairs_->size()));
  }

  void report() const {
    if (common_.json)
      fmt::print("{}\n", json_text({{"captions", file_.captions()},
                                    {"broken_pictures", file_.broken()},
                                    {"style", captioner_.style()},
                                    {"file", options_.out},
                                    {"data", data_.json()}},
                                   -1));
    else
      fmt::print("{}\n", options_.out);
  }

  const RecaptionOptions& options_;
  const CommonOptions& common_;
  DataReport data_;
  std::shared_ptr<const PairSource> pairs_;
  PictureCaptioner captioner_;
  FolderLock lock_;
  CaptionFile file_;
};

}  // namespace

Command recaption_command() {
  return {"recaption", "Write a captioner's captions of a training set, for train transformer --captions",
          "dalle1 recaption --data pictures --captioner runs/captioner/model --style descriptive --out "
          "captions.jsonl",
          [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<RecaptionOptions>();
            add_model_options(app, common);
            add_pairs_option(app, options->data, "; what `dalle1 shard` was given");
            app.add_option("--out", options->out,
                           "The file to write: {\"image\", \"caption\", \"original\"} a line, in the data's "
                           "order; OUT.progress beside it is for --resume")
                ->required();
            add_captioning_options(app, *options);
            add_max_bad_option(app, options->max_bad);
            auto* resume = app.add_flag("--resume", options->resume, "Go on where it was cut, or start");
            app.add_flag("--overwrite", options->overwrite, "Start again")->excludes(resume);
            return [options, &common] { return Recaptioning(*options, common).run(); };
          }};
}

}  // namespace dalle1::tools
