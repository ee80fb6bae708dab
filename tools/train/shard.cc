// dalle1 shard: pictures with captions to token shards.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/data/pair_reader.h"
#include "core/data/token_shard.h"
#include "core/image/resample.h"
#include "core/io/atomic_file.h"
#include "core/io/text_file.h"
#include "core/json.h"
#include "dvae/dvae.h"
#include "dvae/picture_batches.h"
#include "tools/models/models.h"
#include "tools/program/command.h"
#include "tools/program/interrupt.h"
#include "tools/program/output_folder.h"
#include "tools/program/progress.h"
#include "tools/train/data_report.h"
#include "tools/train/decoded_samples.h"
#include "tools/train/training.h"
#include "weights/describe.h"
#include "weights/load.h"
#include "weights/sha256.h"

namespace dalle1::tools {
namespace fs = std::filesystem;
namespace {

constexpr uint64_t kRecordsPerShard = 8192;

struct ShardOptions {
  std::string data, out;
  int grid = 32, views = 1;
  int64_t batch = 16;
  uint64_t seed = 0;
  double max_bad = 0.001;
  bool resume = false, overwrite = false;
};

// View 0 is the whole picture (its centre square). Others are the paper's (appendix A.3, listing 2): a square
// whose offset is uniform in 3/8 to 5/8 of the slack, a little larger than wanted, cropped at random; no
// mirror.
Image view_of(const Image& picture, int size, int view, uint64_t seed, uint64_t index) {
  const Image rgb = to_rgb(picture);
  if (view == 0) return fit_square(rgb, size, Filter::area);
  RandomStream draws(seed, Stream::augmentation, static_cast<uint32_t>(index), static_cast<uint32_t>(view));
  const int side = std::min(rgb.width, rgb.height);
  const auto offset = [&](int length) {
    return static_cast<int>((0.375f + 0.25f * draws.uniform()) * static_cast<float>(length - side) + 0.5f);
  };
  const int x = offset(rgb.width), y = offset(rgb.height);
  const int most = std::max(size, std::min(side, size + size / 8));
  const int target = size + static_cast<int>(draws.below(static_cast<uint32_t>(most - size + 1)));
  const Image square = resize(crop(rgb, x, y, side, side), target, target, Filter::area);
  const auto slack = static_cast<uint32_t>(target - size + 1);
  const int left = static_cast<int>(draws.below(slack)), top = static_cast<int>(draws.below(slack));
  return crop(square, left, top, size, size);
}

// Pictures counted on the way: those that are in whole shards, and those after them, which an interruption
// makes the next run count again.
struct Tally {
  uint64_t settled = 0;
  std::vector<uint64_t> open;

  void settle(uint64_t picture) {
    settled += std::erase_if(open, [&](uint64_t each) { return each < picture; });
  }
  uint64_t count() const { return settled + open.size(); }
};

// OUT/000000.tokens, OUT/000001.tokens, ... and OUT/progress.json, which is written after each of them and
// says where the next one begins. A view's place is its picture's number times the views of each, plus its
// own.
class ShardFolder {
 public:
  /// Makes the folder, clears it or takes up its progress.
  ShardFolder(const ShardOptions& options, const CommonOptions& common, TokenShardInfo info,
              nlohmann::json settings)
      : folder_(options.out),
        lock_(
            make_output_folder(common, folder_, options.resume || options.overwrite,
                               "go on with --resume, begin anew with --overwrite, or choose another --out")),
        info_(std::move(info)),
        settings_(std::move(settings)) {
    if (options.overwrite) clear();
    if (options.resume) restore();
  }

  void add(std::span<const int32_t> tokens, const std::string& caption, int view, uint64_t place) {
    if (!writer_) writer_.emplace(folder_ / fmt::format("{:06}.tokens", shards_++), info_);
    writer_->add(tokens, caption, static_cast<uint32_t>(view));
    ++records_;
    if (writer_->count() == kRecordsPerShard) finish(place + 1);
  }
  void count_broken(uint64_t picture) { broken_.open.push_back(picture); }
  void count_without_caption(uint64_t picture) { without_caption_.open.push_back(picture); }

  /// Completes the open shard; the place `next` is the first that is not in it.
  void finish(uint64_t next) {
    if (writer_) writer_->finish();
    writer_.reset();
    next_ = next;
    const auto views = settings_.at("views").get<uint64_t>();
    broken_.settle(next_ / views);
    without_caption_.settle(next_ / views);
    const nlohmann::ordered_json progress = {
        {"settings", settings_},     {"next", next_},
        {"records", records_},       {"shards", shards_},
        {"broken", broken_.settled}, {"without_caption", without_caption_.settled}};
    write_file_atomically(folder_ / "progress.json", progress.dump(2) + "\n");
  }

  uint64_t next() const { return next_; }
  uint64_t records() const { return records_; }
  uint64_t broken() const { return broken_.count(); }
  uint64_t without_caption() const { return without_caption_.count(); }
  int shards() const { return shards_; }

 private:
  void clear() const {
    for (const auto& entry : fs::directory_iterator(folder_))
      if (entry.path().extension() == ".tokens") fs::remove(entry.path());
    fs::remove(folder_ / "progress.json");
  }

  void restore() {
    const std::string file = (folder_ / "progress.json").string();
    if (!fs::exists(file)) {
      check(!fs::exists(folder_ / "000000.tokens"), ErrorKind::usage,
            "{} has shards but no progress.json, so nothing can go on; begin anew with --overwrite",
            folder_.string());
      return;
    }
    const auto progress = parse_json(read_text(file), file);
    try {
      const nlohmann::json saved = progress.at("settings");
      for (const auto& [name, value] : settings_.items())
        check(saved.at(name) == value, ErrorKind::usage,
              "--resume: '{}' was {} in {}, and is {} now; use the same or begin anew with --overwrite", name,
              saved.at(name).dump(), file, value.dump());
      next_ = value_of<uint64_t>(progress.at("next"), "next");
      records_ = value_of<uint64_t>(progress.at("records"), "records");
      shards_ = value_of<int>(progress.at("shards"), "shards");
      broken_.settled = value_of<uint64_t>(progress.at("broken"), "broken");
      without_caption_.settled = value_or(progress, "without_caption", uint64_t{0});  // not in version 0.1
    } catch (const nlohmann::json::exception& error) {
      fail(ErrorKind::input, "{}: {}; begin anew with --overwrite", file, error.what());
    }
  }

  fs::path folder_;
  FolderLock lock_;
  TokenShardInfo info_;
  nlohmann::json settings_;
  std::optional<TokenShardWriter> writer_;
  uint64_t next_ = 0, records_ = 0;
  Tally broken_, without_caption_;
  int shards_ = 0;
};

class Sharder {
 public:
  Sharder(const ShardOptions& options, const CommonOptions& common)
      : options_(options), common_(common), device_(open_device(common)), data_(common) {
    const weights::Checkpoint checkpoint = open_part(common, "dvae");
    dvae_ = dvae::make_dvae(checkpoint.config, *device_);
    weights::load_parameters(*dvae_, checkpoint);
    pairs_ = open_pairs(options.data);
    data_.add(pairs_->summary());
    TokenShardInfo info;
    info.grid = options.grid;
    info.codes = static_cast<int>(dvae_->codes());
    info.dvae_sha256 = weights::sha256_of_tensors(checkpoint);
    if (!common.tokenizer.empty()) info.tokenizer_sha256 = weights::sha256_of_file(common.tokenizer.front());
    const nlohmann::json settings = {{"data", options.data},
                                     {"pictures", pairs_->size()},
                                     {"grid", options.grid},
                                     {"views", options.views},
                                     {"seed", options.seed},
                                     {"dvae", info.dvae_sha256},
                                     {"tokenizer", info.tokenizer_sha256}};
    folder_.emplace(options, common, info, settings);
  }

  int run() {
    PairReaderOptions reading;
    reading.shuffle = false;
    const auto size = static_cast<double>(std::max<uint64_t>(pairs_->size(), 1));
    reading.max_bad = std::max(0.0, options_.max_bad - static_cast<double>(folder_->broken()) / size);
    reading.on_bad = data_.on_bad();
    data_.print();
    PairReader reader(pairs_, reading);
    DecodedSamples samples(reader, pairs_, reading, host_threads(*device_));
    const GracefulStop stop;
    const auto views = static_cast<uint64_t>(options_.views);
    const uint64_t begin = folder_->next();
    uint64_t index = begin / views;
    for (; index < reader.size() && !GracefulStop::requested(); ++index) {
      auto sample = samples.read(index);
      if (!sample) folder_->count_broken(index);
      if (sample && sample->caption.empty()) folder_->count_without_caption(index);
      const auto picture = sample ? std::make_shared<const Image>(std::move(sample->image)) : nullptr;
      for (uint64_t view = 0; sample && view < views; ++view) {
        if (index * views + view >= begin) add(picture, sample->caption, static_cast<int>(view), index);
      }
      if (index % 1024 == 1023) tell_progress(index + 1, reader.size());
    }
    encode_pending();
    folder_->finish(index * views);
    data_.set_counts(folder_->without_caption(), folder_->broken());
    data_.print();
    report();
    check(index >= reader.size(), ErrorKind::interrupted,
          "interrupted: {} of {} pictures are in whole shards; --resume goes on", index, reader.size());
    return 0;
  }

 private:
  struct Pending {
    std::shared_ptr<const Image> picture;
    std::string caption;
    int view;
    uint64_t index;
  };

  void add(std::shared_ptr<const Image> picture, const std::string& caption, int view, uint64_t index) {
    pending_.push_back({std::move(picture), caption, view, index});
    if (static_cast<int64_t>(pending_.size()) == options_.batch) encode_pending();
  }

  std::vector<Image> pending_views() const {
    const int size = options_.grid * static_cast<int>(dvae_->downsampling());
    std::vector<Image> images(pending_.size());
    on_threads(host_threads(*device_), images.size(), [&](size_t i) {
      const Pending& each = pending_[i];
      images[i] = view_of(*each.picture, size, each.view, options_.seed, each.index);
    });
    return images;
  }

  void encode_pending() {
    if (pending_.empty()) return;
    Context context(*device_);
    const auto codes =
        dvae_->encode_indices(context, dvae::tensor_of_images(*device_, pending_views())).to_ints();
    const auto cells = static_cast<size_t>(options_.grid) * options_.grid;
    const std::vector<int32_t> tokens(codes.begin(), codes.end());
    for (size_t i = 0; i < pending_.size(); ++i) {
      const Pending& each = pending_[i];
      const auto views = static_cast<uint64_t>(options_.views), view = static_cast<uint64_t>(each.view);
      folder_->add(std::span(tokens).subspan(i * cells, cells), each.caption, each.view,
                   each.index * views + view);
    }
    pending_.clear();
  }

  void tell_progress(uint64_t done, uint64_t all) const {
    tell(common_, {{"event", "progress"}, {"pictures_done", done}, {"pictures", all}},
         fmt::format("{} of {} pictures", done, all));
  }

  void report() const {
    if (common_.json) {
      fmt::print("{}\n", json_text(nlohmann::ordered_json({{"records", folder_->records()},
                                                           {"shards", folder_->shards()},
                                                           {"broken_pictures", folder_->broken()},
                                                           {"folder", options_.out},
                                                           {"data", data_.json()}}),
                                   -1));
    } else {
      fmt::print("{}: {} samples in {} shards, {} pictures skipped\n", options_.out, folder_->records(),
                 folder_->shards(), folder_->broken());
    }
  }

  const ShardOptions& options_;
  const CommonOptions& common_;
  std::shared_ptr<Device> device_;
  std::unique_ptr<dvae::Dvae> dvae_;
  std::shared_ptr<const PairSource> pairs_;
  DataReport data_;
  std::optional<ShardFolder> folder_;
  std::vector<Pending> pending_;
};

}  // namespace

Command shard_command() {
  return {"shard", "Turn pictures with captions into token shards for training the transformer",
          "dalle1 shard --data pictures --dvae dvae.safetensors --out shards",
          [](CLI::App& app, CommonOptions& common) {
            auto options = std::make_shared<ShardOptions>();
            add_model_options(app, common);
            add_pairs_option(app, options->data);
            app.add_option("--out", options->out, "Folder to write")->required();
            app.add_option("--grid", options->grid, "Tokens along one side")
                ->check(CLI::Range(1, 128))
                ->capture_default_str();
            app.add_option("--views", options->views, "Crops of each picture; the first is the whole picture")
                ->check(CLI::Range(1, 1000))
                ->capture_default_str();
            app.add_option("--batch", options->batch, "Pictures encoded together")
                ->check(CLI::Range(1, 4096))
                ->capture_default_str();
            app.add_option("--seed", options->seed, "Of the crops")->capture_default_str();
            add_max_bad_option(app, options->max_bad);
            app.add_flag("--resume", options->resume, "Go on after the last whole shard in --out, or start");
            app.add_flag("--overwrite", options->overwrite, "Remove the shards that are in --out first");
            return [options, &common] { return Sharder(*options, common).run(); };
          }};
}

}  // namespace dalle1::tools
