// The transformer with products in eight bits: loaded from any file, drawn by any wave, near the one in f32.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <numeric>

#include "tests/support/golden.h"
#include "tests/transformer/small_models.h"
#include "transformer/decoder.h"
#include "weights/load.h"
#include "weights/open.h"

namespace dalle1::test {
namespace {

using namespace transformer;

/// A model written as `stored` and loaded to draw in int8.
Transformer int8_model(Device& device, Transformer& source, DType stored) {
  ScratchDir scratch;
  const auto file = scratch / "part.safetensors";
  weights::save_parameters(source, file, "transformer", to_json(source.config()), stored);
  Transformer model(device, source.config(), DType::i8);
  weights::load_parameters(model, weights::open_checkpoint({file}, nullptr, "transformer"));
  return model;
}

struct Parameters {
  std::map<std::string, std::string> bytes;
  explicit Parameters(Transformer& model) {
    model.visit([&](const std::string& name, Tensor& parameter) {
      bytes[name] = std::string(static_cast<const char*>(parameter.raw()), parameter.bytes());
    });
  }
};

Decoded decode(Device& device, const Transformer& model, std::vector<uint32_t> candidates,
               CacheType cache = CacheType::automatic) {
  DecodeRequest request;
  request.text = fill_text_slots(model.config(), {3, 1, 4}, {});
  request.unconditional = empty_text_slots(model.config(), {});
  request.sampling.seed = 42;
  request.sampling.guidance = 1.7f;
  request.cache = cache;
  Context context(device);
  return Decoder(context, model, request).decode(candidates);
}

}  // namespace

TEST_CASE("int8 takes the rows of an i8 file as they are, and those of an f32 file as such a file has them") {
  auto device = make_cpu_device(1);
  Transformer source = small_model(*device, small_config("paper", 4));
  Transformer from_wide = int8_model(*device, source, DType::f32);
  Transformer from_narrow = int8_model(*device, source, DType::i8);
  const Parameters a(from_wide), b(from_narrow);
  CHECK(a.bytes.count("layers.0.mlp.up.weight.scale") == 1);
  for (const auto& [name, bytes] : a.bytes) {
    CAPTURE(name);
    // Embeddings are f32 here and rounded in that file.
    const bool embedding = name.find("embedding") != std::string::npos ||
                           name.find("position") != std::string::npos || name.starts_with("image_");
    if (!embedding) CHECK(bytes == b.bytes.at(name));
  }
}

TEST_CASE(
    "candidates drawn in int8 with caches in bf16 are the same for any wave and any number of threads") {
  for (const auto& config :
       {small_config("paper", 4), normalised_config("paper", 4), dalle_pytorch_config("paper", 4)}) {
    std::vector<int64_t> expected;
    for (int threads : {1, 2}) {
      auto device = make_cpu_device(threads);
      Transformer source = small_model(*device, config);
      Transformer model = int8_model(*device, source, DType::f16);
      model.prepare();
      std::vector<uint32_t> all(64);
      std::iota(all.begin(), all.end(), 0u);
      const Decoded together = decode(*device, model, all, CacheType::bf16);
      if (expected.empty()) expected = together.tokens;
      CHECK(together.tokens == expected);
      for (uint32_t wave : {1u, 7u}) {
        for (uint32_t begin = 0; begin + wave <= 14; begin += wave) {
          std::vector<uint32_t> some(wave);
          std::iota(some.begin(), some.end(), begin);
          const Decoded part = decode(*device, model, some, CacheType::bf16);
          CHECK(std::equal(part.tokens.begin(), part.tokens.end(),
                           together.tokens.begin() + begin * config.cells()));
        }
      }
    }
  }
}

TEST_CASE("the loss in int8 is near the loss in f32") {
  auto device = make_cpu_device(2);
  const TransformerConfig config = small_config("paper", 4);
  Transformer source = small_model(*device, config);
  Transformer model = int8_model(*device, source, DType::f32);
  model.prepare();
  Context context(*device);
  const TokenBatch batch = small_batch(*device, config, 5);
  const Loss wide = compute_loss(context, source, batch, {}),
             narrow = compute_loss(context, model, batch, {});
  CHECK(std::fabs(narrow.image - wide.image) < 0.02 * wide.image);
  CHECK(std::fabs(narrow.text - wide.text) < 0.02 * wide.text);
  CHECK(narrow.image != wide.image);
  const Tensor hidden = Tensor::full(*device, {2, config.width}, 0.5f);
  const auto all = model.logits(context, hidden).to_floats(),
             image = model.image_logits(context, hidden).to_floats();
  REQUIRE(all.size() == 2 * static_cast<size_t>(config.classes()));
  CHECK(std::equal(image.begin(), image.begin() + config.image_vocab, all.begin() + config.text_classes()));
}

TEST_CASE("a model in int8 is not trained, and its packed weights are no parameters") {
  auto device = make_cpu_device(1);
  Transformer source = small_model(*device, small_config("row"));
  Transformer model = int8_model(*device, source, DType::f32);
  model.prepare();
  CHECK_THROWS_WITH_AS(model.visit([](const std::string&, Tensor&) {}),
                       doctest::Contains("packed weights are not parameters"), Error);
}

}  // namespace dalle1::test
