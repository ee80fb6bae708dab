// Whole training runs: batches, broken pictures, resuming, learning.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "core/image/png.h"
#include "core/random/philox.h"
#include "dvae/trainer.h"
#include "tests/support/golden.h"
#include "weights/load.h"
#include "weights/open.h"
#include "weights/training_state.h"

using namespace dalle1;
using namespace dalle1::dvae;

namespace {

// A coloured square on a plain ground.
Image drawn(uint64_t index) {
  RandomStream random(9, Stream::test, static_cast<uint32_t>(index));
  uint8_t colours[2][3];
  for (auto& colour : colours)
    for (uint8_t& value : colour) value = static_cast<uint8_t>(random.below(4) * 80);
  const int side = 6 + static_cast<int>(random.below(12)), x0 = static_cast<int>(random.below(32 - side)),
            y0 = static_cast<int>(random.below(32 - side));
  Image image(32, 32, 3);
  for (int y = 0; y < 32; ++y)
    for (int x = 0; x < 32; ++x) {
      const bool inside = x >= x0 && x < x0 + side && y >= y0 && y < y0 + side;
      for (int c = 0; c < 3; ++c) image.at(x, y)[c] = colours[inside][c];
    }
  return image;
}

class DrawnSource : public PairSource {
 public:
  DrawnSource(uint64_t size, uint64_t broken) : size_(size), broken_(broken) {}
  uint64_t size() const override { return size_; }
  std::string caption(uint64_t) const override { return ""; }
  Pair picture(uint64_t index) const override {
    Pair pair{fmt::format("picture {}", index), "", encode_png(drawn(index))};
    if (index < broken_) pair.encoded.resize(pair.encoded.size() / 2);
    return pair;
  }

 private:
  uint64_t size_, broken_;
};

std::shared_ptr<PairReader> reader_of(uint64_t size, uint64_t broken, double max_bad) {
  PairReaderOptions options;
  options.max_bad = max_bad;
  return std::make_shared<PairReader>(std::make_shared<DrawnSource>(size, broken), options);
}

nlohmann::json training_file(const std::string& quantiser, int64_t steps) {
  return {{"hidden", 16},
          {"decoder_init", 16},
          {"groups", 3},
          {"blocks_per_group", 1},
          {"codes", 64},
          {"post_gain", 0.25},
          {"quantiser", quantiser},
          {"train",
           {{"steps", steps},
            {"batch", 16},
            {"crop", 32},
            {"resolution", 32},
            {"learning_rate", {{"kind", "cosine"}, {"first", 3e-3}, {"last", 1e-4}, {"end", steps}}},
            {"ema_decay", 0.9},
            {"log_every", 1},
            {"evaluate_every", steps},
            {"checkpoint_every", 5},
            {"evaluate_pictures", 8},
            {"sheet_pictures", 2},
            {"temperature", {{"kind", "cosine"}, {"first", 1.0}, {"last", 0.1}, {"end", steps}}},
            {"vq", {{"continuous_steps", 6}, {"dimensions", 8}, {"decay", 0.9}}}}}};
}

struct Run {
  std::vector<nlohmann::json> rows;
  bool finished = false;
};

struct Begin {
  bool resume = false;
  std::filesystem::path model = {};  // to start from
};

// A run in a folder, up to `stop_after` steps in this call.
Run run_in(const std::filesystem::path& folder, const nlohmann::json& file, const Begin& begin = {},
           int stop_after = 1000) {
  const auto device = make_cpu_device(1);
  const TrainOptions options = train_options_from_json(file.at("train"), config::field_names<DvaeTraining>());
  auto architecture = file;
  architecture.erase("train");
  DvaeTask task(*device, OpenAiConfig::from_json(architecture),
                DvaeTraining::from_json(file.at("train"), options), 5);
  if (!begin.model.empty()) {
    weights::load_parameters(task.graph(), weights::open_checkpoint({begin.model}, nullptr, "dvae"));
    task.scale_logits();
  }
  std::vector<Image> held_out;
  for (uint64_t i = 256; i < 288; ++i) held_out.push_back(drawn(i));
  task.set_data(reader_of(256, 1, 0.01), held_out);
  task.set_output(folder, [](OpenAiDvae& model, const std::filesystem::path& out) {
    std::filesystem::create_directories(out);
    weights::save_parameters(model, out / "dvae.safetensors", "dvae", model.config());
  });
  static const weights::SafetensorsState format;
  Run result;
  TrainRun run;
  run.folder = folder;
  run.resume = begin.resume;
  run.settings = file;
  run.format = &format;
  run.report = [&](const nlohmann::json& row) { result.rows.push_back(row); };
  int polled = 0;
  run.stop_requested = [&] { return ++polled >= stop_after; };
  result.finished = train(*device, task, options, run).finished;
  return result;
}

std::vector<float> exported_parameters(const std::filesystem::path& folder) {
  const auto device = make_cpu_device(1);
  const auto checkpoint = weights::open_checkpoint({folder / "model/dvae.safetensors"}, nullptr, "dvae");
  auto model = make_dvae(checkpoint.config, *device);
  weights::load_parameters(*model, checkpoint);
  std::vector<float> all;
  model->visit([&](const std::string&, Tensor& tensor) {
    const auto values = tensor.to_floats();
    all.insert(all.end(), values.begin(), values.end());
  });
  return all;
}

}  // namespace

TEST_CASE("a batch is a function of its number") {
  const auto device = make_cpu_device(1);
  BatchOptions options;
  options.batch = 6;
  options.crop = 16;
  options.resolution = 24;
  options.crops_per_picture = 2;
  options.crop_candidates = 3;
  options.dither = 1.0f;
  PictureBatches in_order(reader_of(20, 2, 0.2), options), alone(reader_of(20, 2, 0.2), options);
  in_order.get(*device, 0);
  in_order.get(*device, 1);
  const std::vector<float> third = in_order.get(*device, 2).to_floats();
  CHECK(alone.get(*device, 2).to_floats() == third);
  CHECK(third.size() == 6u * 3 * 16 * 16);
  CHECK(*std::min_element(third.begin(), third.end()) >= 0.0f);
  CHECK(*std::max_element(third.begin(), third.end()) <= 1.0f);
}

TEST_CASE("too many broken pictures stop the training") {
  const auto device = make_cpu_device(1);
  BatchOptions options;
  options.crop = options.resolution = 32;
  PictureBatches batches(reader_of(40, 30, 0.1), options);
  CHECK_THROWS_AS(
      [&] {
        for (int64_t i = 0; i < 4; ++i) batches.get(*device, i);
      }(),
      Error);
}

TEST_CASE("pictures become tensors and 8-bit pictures again") {
  const auto device = make_cpu_device(1);
  const std::vector<Image> images = {drawn(1), drawn(2)};
  const Tensor tensor = tensor_of_images(*device, images);
  CHECK(tensor.shape() == Shape({2, 3, 32, 32}));
  // 255 (v / 255) may round below v, and 8-bit values are truncated.
  const std::vector<Image> back = images_of_tensor(tensor);
  for (size_t i = 0; i < images.size(); ++i) {
    for (size_t j = 0; j < images[i].pixels.size(); ++j) {
      REQUIRE(std::abs(images[i].pixels[j] - back[i].pixels[j]) <= 1);
    }
  }
}

TEST_CASE("a stopped and resumed training has the bits of an uninterrupted one") {
  for (const std::string quantiser : {"vq", "gumbel"}) {
    test::ScratchDir scratch;
    const auto file = training_file(quantiser, 12);
    CHECK(run_in(scratch / "whole", file).finished);
    // Stopped while vectors for k-means are collected, and once more after.
    CHECK_FALSE(run_in(scratch / "parts", file, {}, 3).finished);
    CHECK_FALSE(run_in(scratch / "parts", file, {.resume = true}, 6).finished);
    CHECK(run_in(scratch / "parts", file, {.resume = true}).finished);
    CHECK(exported_parameters(scratch / "whole") == exported_parameters(scratch / "parts"));
  }
}

// One code of two is more than a tenth; 4,096 are more than an untrained encoder tells apart.
TEST_CASE("a row of measurements warns when fewer than a tenth of the codes are used") {
  for (const int codes : {2, 4096}) {
    test::ScratchDir scratch;
    auto file = training_file("gumbel", 1);
    file["codes"] = codes;
    file["train"]["batch"] = 2;
    const auto row = run_in(scratch / "run", file).rows.back();
    const auto used = row.at("codes_used").get<int64_t>();
    CAPTURE(used);
    CHECK((10 * used < codes) == (codes == 4096));
    CHECK(row.contains("warning") == (codes == 4096));
    if (codes == 2) continue;
    CHECK(row.value("warning", "") ==
          fmt::format("only {} of 4096 codes are used: the codebook is collapsing", used));
  }
}

TEST_CASE("vector quantisation learns simple pictures, and Gumbel-softmax goes on from there") {
  test::ScratchDir scratch;
  const auto vq = run_in(scratch / "vq", training_file("vq", 150)).rows;
  CHECK(vq.back().at("psnr").get<double>() > 18.0);
  CHECK(vq.back().at("ssim").get<double>() > 0.5);
  CHECK(vq.back().at("codes_used").get<int64_t>() > 32);
  CHECK(std::filesystem::exists(scratch / "vq/sheets/step-000150.png"));

  auto file = training_file("gumbel", 30);
  file["train"]["learning_rate"] = 3e-4;
  file["train"]["temperature"] = {{"kind", "cosine"}, {"first", 0.5}, {"last", 0.0625}, {"end", 24}};
  file["train"]["logit_scale"] = 0.5 / vq.back().at("quantisation_error").get<double>();
  const auto gumbel = run_in(scratch / "gumbel", file, {.model = scratch / "vq/model/dvae.safetensors"}).rows;
  CHECK(gumbel.back().at("psnr").get<double>() > vq.back().at("psnr").get<double>() - 0.5);
  CHECK(gumbel.back().at("codes_used").get<int64_t>() > 32);
}
