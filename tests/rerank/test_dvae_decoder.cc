// Batches of the dVAE as the pipeline makes them.
#include <doctest/doctest.h>

#include "core/kernels/kernels.h"
#include "rerank/dvae_decoder.h"
#include "tests/support/fake_gpu.h"

namespace dalle1::test {
namespace {

// A grid of codes is a grey picture of as many pixels.
class GreyDvae final : public dvae::Dvae {
 public:
  Tensor encode(Context&, const Tensor& images) override { return images; }
  Tensor decode_stats(Context&, const Tensor& indices) override {
    batches.push_back(indices.dim(0));
    const auto codes = indices.to_ints();
    std::vector<float> values;
    const auto cells = static_cast<size_t>(indices.dim(1) * indices.dim(2));
    for (size_t begin = 0; begin < codes.size(); begin += cells)
      for (int channel = 0; channel < 3; ++channel)
        for (size_t i = 0; i < cells; ++i) values.push_back(static_cast<float>(codes[begin + i]) / 255);
    return Tensor::from(indices.device(), {indices.dim(0), 3, indices.dim(1), indices.dim(2)}, values);
  }
  Tensor image_of(Context&, const Tensor& stats) override { return stats; }
  int64_t codes() const override { return 256; }
  int64_t downsampling() const override { return 1; }
  nlohmann::json config() const override { return {}; }
  void visit(const ParameterVisitor&) override {}

  std::vector<int64_t> batches;
};

}  // namespace

TEST_CASE("pictures are decoded in batches, on a GPU all of one size") {
  const std::vector<int32_t> tokens = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  FakeGpu gpu;
  const auto cpu = make_cpu_device(1);
  std::vector<Image> pictures[2];
  for (Device* device : {cpu.get(), static_cast<Device*>(&gpu)}) {
    const auto grey = std::make_shared<GreyDvae>();
    rerank::DvaeDecoder decoder(grey, *device, 2, 2);
    auto& own = pictures[device == &gpu];
    own = decoder.decode(tokens, 3);
    REQUIRE(own.size() == 3);
    CHECK(grey->batches == (device == &gpu ? std::vector<int64_t>{2, 2} : std::vector<int64_t>{2, 1}));
  }
  for (size_t i = 0; i < 3; ++i) CHECK(pictures[0][i].pixels == pictures[1][i].pixels);
  CHECK(pictures[0][2].pixels[0] == 9);
}

}  // namespace dalle1::test
