// dalle1 shard: pictures with captions to token shards.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "core/data/pair_reader.h"
#include "core/data/token_shard.h"
#include "core/image/resample.h"
#include "dvae/dvae.h"
#include "dvae/picture_batches.h"
#include "tools/command.h"
#include "tools/interrupt.h"
#include "tools/models.h"
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
};

// The same digest whatever container the dVAE came in.
std::string digest(const weights::Checkpoint& checkpoint) {
  weights::Sha256 sha;
  for (const auto& tensor : checkpoint.tensors) {
    sha.update(std::as_bytes(std::span(tensor.name)));
    sha.update(tensor.bytes);
  }
  return sha.hex();
}

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

// Writes OUT/000000.tokens, OUT/000001.tokens, ...
class ShardFolder {
 public:
  ShardFolder(fs::path folder, TokenShardInfo info) : folder_(std::move(folder)), info_(std::move(info)) {}

  void add(std::span<const int32_t> tokens, const std::string& caption, int view) {
    if (!writer_) writer_.emplace(folder_ / fmt::format("{:06}.tokens", shards_++), info_);
    writer_->add(tokens, caption, static_cast<uint32_t>(view));
    ++records_;
    if (writer_->count() == kRecordsPerShard) finish();
  }
  void finish() {
    if (writer_) writer_->finish();
    writer_.reset();
  }
  uint64_t records() const { return records_; }
  int shards() const { return shards_; }

 private:
  fs::path folder_;
  TokenShardInfo info_;
  std::optional<TokenShardWriter> writer_;
  uint64_t records_ = 0;
  int shards_ = 0;
};

class Sharder {
 public:
  Sharder(const ShardOptions& options, const CommonOptions& common)
      : options_(options), common_(common), device_(open_device(common)) {
    const weights::Checkpoint checkpoint = open_part(common, "dvae");
    dvae_ = dvae::make_dvae(checkpoint.config, *device_);
    weights::load_parameters(*dvae_, checkpoint);
    TokenShardInfo info;
    info.grid = options.grid;
    info.codes = static_cast<int>(dvae_->codes());
    info.dvae_sha256 = digest(checkpoint);
    if (!common.tokenizer.empty()) info.tokenizer_sha256 = weights::sha256_of_file(common.tokenizer.front());
    prepare_folder();
    folder_.emplace(options.out, info);
  }

  int run() {
    PairReaderOptions reading;
    reading.shuffle = false;
    reading.max_bad = options_.max_bad;
    const bool quiet = common_.progress_mode() == ProgressMode::none;
    reading.on_bad = [quiet](const std::string& line) {
      if (!quiet) fmt::print(stderr, "skipped: {}\n", line);
    };
    PairReader reader(open_pairs(options_.data), reading);
    const GracefulStop stop;
    for (uint64_t index = 0; index < reader.size() && !GracefulStop::requested(); ++index) {
      const auto sample = reader.read(index);
      if (!sample) continue;
      for (int view = 0; view < options_.views; ++view) add(*sample, view, index);
      if (!quiet && index % 1024 == 1023) fmt::print(stderr, "{} of {} pictures\n", index + 1, reader.size());
    }
    encode_pending();
    folder_->finish();
    report(reader.bad_count());
    return GracefulStop::requested() ? 128 + GracefulStop::signal_number() : 0;
  }

 private:
  struct Pending {
    std::string caption;
    int view;
  };

  void prepare_folder() const {
    std::error_code error;
    check(!fs::exists(options_.out, error) || fs::is_empty(options_.out, error), ErrorKind::usage,
          "{} is not empty; choose another --out", options_.out);
    fs::create_directories(options_.out, error);
    check(!error, ErrorKind::output, "{}: {}", options_.out, error.message());
  }

  void add(const Sample& sample, int view, uint64_t index) {
    const int size = options_.grid * static_cast<int>(dvae_->downsampling());
    images_.push_back(view_of(sample.image, size, view, options_.seed, index));
    pending_.push_back({sample.caption, view});
    if (static_cast<int64_t>(images_.size()) == options_.batch) encode_pending();
  }

  void encode_pending() {
    if (images_.empty()) return;
    Context context(*device_);
    const auto codes = dvae_->encode_indices(context, dvae::tensor_of_images(*device_, images_)).to_ints();
    const auto cells = static_cast<size_t>(options_.grid) * options_.grid;
    const std::vector<int32_t> tokens(codes.begin(), codes.end());
    for (size_t i = 0; i < pending_.size(); ++i) {
      folder_->add(std::span(tokens).subspan(i * cells, cells), pending_[i].caption, pending_[i].view);
    }
    images_.clear();
    pending_.clear();
  }

  void report(uint64_t bad) const {
    if (common_.json) {
      fmt::print("{}\n", nlohmann::ordered_json({{"records", folder_->records()},
                                                 {"shards", folder_->shards()},
                                                 {"broken_pictures", bad},
                                                 {"folder", options_.out}})
                             .dump());
    } else {
      fmt::print("{}: {} samples in {} shards, {} pictures skipped\n", options_.out, folder_->records(),
                 folder_->shards(), bad);
    }
  }

  const ShardOptions& options_;
  const CommonOptions& common_;
  std::shared_ptr<Device> device_;
  std::unique_ptr<dvae::Dvae> dvae_;
  std::optional<ShardFolder> folder_;
  std::vector<Image> images_;
  std::vector<Pending> pending_;
};

}  // namespace

Command shard_command() {
  return {
      "shard", "Turn pictures with captions into token shards for training the transformer",
      "dalle1 shard --data pictures --dvae dvae.safetensors --out shards",
      [](CLI::App& app, CommonOptions& common) {
        auto options = std::make_shared<ShardOptions>();
        add_model_options(app, common);
        app.add_option("--data", options->data, "A folder of pictures, a captions.jsonl or tar shards")
            ->required();
        app.add_option("--out", options->out, "Folder to write")->required();
        app.add_option("--grid", options->grid, "Tokens along one side")->check(CLI::Range(1, 128));
        app.add_option("--views", options->views, "Crops of each picture; the first is the whole picture")
            ->check(CLI::Range(1, 1000));
        app.add_option("--batch", options->batch, "Pictures encoded together")->check(CLI::Range(1, 4096));
        app.add_option("--seed", options->seed, "Of the crops");
        app.add_option("--max-bad", options->max_bad, "Share of pictures that may be broken")
            ->check(CLI::Range(0.0, 1.0));
        return [options, &common] { return Sharder(*options, common).run(); };
      }};
}

}  // namespace dalle1::tools
