// The device that only counts: what runs on it needs what it needs on the device that it stands for.
#include <doctest/doctest.h>

#include "clip/clip.h"
#include "core/cpu/counting_device.h"
#include "tests/support/fake_gpu.h"
#include "tests/tools/tiny_model.h"
#include "tools/draw/estimate.h"
#include "tools/draw/rehearsal.h"
#include "tools/models/open_model_set.h"
#include "weights/open.h"

using namespace dalle1;
using namespace dalle1::tools;

namespace {

rerank::ModelSet models_on_cpu() {
  CommonOptions common;
  common.model = test::shallow_model().string();
  common.device = "cpu";
  common.threads = 1;
  common.quiet = true;
  return open_model_set(common, "clip=1,likelihood-ratio=1");
}

}  // namespace

TEST_CASE("blocks are kept by size and taken again, as the CPU does it") {
  const auto cpu = make_cpu_device(1);
  const auto counting = make_counting_device(*cpu);
  const std::vector<size_t> sizes = {100, 5000, size_t{3} << 20, 100, size_t{3} << 20};
  for (int round = 0; round < 3; ++round) {
    std::vector<std::pair<void*, size_t>> blocks;
    for (const size_t size : sizes) blocks.emplace_back(counting->allocate(size), size);
    for (size_t i = 1; i < blocks.size(); ++i) CHECK(blocks[i].first != blocks[i - 1].first);
    for (const auto& [block, size] : blocks) counting->release(block, size);
  }
  CHECK(counting->footprint() == 2 * 256 + 5120 + 2 * (size_t{3} << 20));
  CHECK(counting->memory_use().in_use == 0);
}

TEST_CASE("the operations of CLIP's picture encoder are those of a Vision Transformer's arithmetic") {
  const auto config = clip::clip_config_from_json(weights::read_config("clip-vit-b-32"));
  const auto cpu = make_cpu_device(1);
  const auto device = make_counting_device(*cpu);
  clip::Clip model(config, *device);
  Context context(*device);
  model.encode_images(context, Tensor::zeros(*device, {2, 3, 224, 224}));
  const double patches = 7 * 7, tokens = patches + 1, width = 768;
  const double patch = 2.0 * 3 * 32 * 32 * width;
  const double block = tokens * (2 * 12 * width * width + 4 * width * tokens);
  const double picture = patches * patch + 12 * block + 2 * width * 512;
  CHECK(device->operations() == doctest::Approx(2 * picture).epsilon(1e-12));
}

TEST_CASE("a picture takes as many operations in any wave") {
  const auto models = models_on_cpu();
  const auto one = rehearse(models, {}, {}, 1, 1), many = rehearse(models, {}, {}, 40, 20);
  CHECK(one.decode_operations > 0);
  CHECK(many.decode_operations == doctest::Approx(one.decode_operations));
  CHECK(many.score_operations == doctest::Approx(one.score_operations));
}

TEST_CASE("memory grows with the wave and with guidance, not with the candidates") {
  const auto models = models_on_cpu();
  DrawOptions options;
  const auto of = [&](int candidates, int wave) { return rehearse(models, options, {}, candidates, wave); };
  const auto small = of(64, 8), large = of(64, 16);
  CHECK(small.picture_size == 64);
  CHECK(large.cache > small.cache);
  CHECK(large.total() > small.total());
  CHECK(of(512, 8).total() == small.total());
  CHECK(of(8, 8).weights == small.weights);
  // Beyond what is gone through, the wave is extrapolated.
  const double step = of(1024, 256).total() - of(1024, 128).total();
  CHECK(of(1024, 512).total() - of(1024, 256).total() == doctest::Approx(2 * step).epsilon(0.02));
  options.guidance = 2;
  CHECK(of(64, 8).cache > 1.5 * small.cache);
}

TEST_CASE("a run on a GPU is gone through, too, also one that keeps a part of a picture") {
  const auto models = models_on_cpu();
  const auto on_gpu = models.on(std::make_shared<test::FakeGpu>());
  const DrawOptions options;
  const auto cpu = rehearse(models, options, {}, 16, 8), gpu = rehearse(on_gpu, options, {}, 16, 8);
  CHECK(gpu.weights < cpu.weights);  // matrices in bf16
  CHECK(gpu.total() < cpu.total());  // and no second form of them
  const std::vector<rerank::Redraw> redraws = {rerank::keep_top_rows(8, 2), rerank::keep_top_rows(8, 6)};
  CHECK(rehearse(on_gpu, options, std::span(redraws).first(1), 16, 8).total() > 0);
  CHECK(rehearse(models, options, redraws, 16, 7).total() > 0);
}

TEST_CASE("keys and values are bf16 unless the wave fits only in fp8; what does not fit is halved") {
  const std::vector<std::string> either = {"bf16", "fp8"};
  const auto choice_for = [&](int memory, bool may_reduce, const std::vector<std::string>& kv_dtypes) {
    const auto choice = choose_wave(256, may_reduce, kv_dtypes, [&](const WaveChoice& tried) {
      return tried.wave * (tried.kv_dtype == "fp8" ? 1 : 2) <= memory;
    });
    return std::pair(choice.wave, choice.kv_dtype);
  };
  using Choice = std::pair<int, std::string>;
  CHECK(choice_for(512, true, either) == Choice(256, "bf16"));
  CHECK(choice_for(511, true, either) == Choice(256, "fp8"));
  CHECK(choice_for(511, false, either) == Choice(256, "fp8"));
  CHECK(choice_for(256, true, either) == Choice(256, "fp8"));
  CHECK(choice_for(255, true, either) == Choice(128, "fp8"));
  CHECK(choice_for(255, false, either) == Choice(256, "fp8"));  // and is refused
  CHECK(choice_for(511, true, {"bf16"}) == Choice(128, "bf16"));
  CHECK(choice_for(0, true, either) == Choice(1, "fp8"));
}

TEST_CASE("a GPU's cache weighs half as much in fp8, but for the prompt's part, and mixed lies between") {
  const auto models = models_on_cpu();
  const auto on_gpu = models.on(std::make_shared<test::FakeGpu>());
  DrawOptions options;
  const auto with = [&](const std::string& kv_dtype, int wave = 32) {
    options.kv_dtype = kv_dtype;
    return rehearse(on_gpu, options, {}, wave, wave);
  };
  const auto own = [&](const std::string& kv_dtype) {
    return with(kv_dtype).cache - with(kv_dtype, 16).cache;
  };
  const auto wide = with("bf16"), narrow = with("fp8");
  CHECK(with("auto").total() == wide.total());
  CHECK(narrow.weights == wide.weights);
  CHECK(own("fp8") == doctest::Approx(own("bf16") / 2).epsilon(0.01));
  CHECK(narrow.total() < wide.total());
  CHECK(own("fp8") < own("mixed"));
  CHECK(own("mixed") < own("bf16"));
}
