// CLIP and its training on a GPU against the CPU, in f32 and with products in bf16.
#include "clip/clip.h"
#include "clip/contrastive_loss.h"
#include "clip/preprocess.h"
#include "core/data/npy.h"
#include "tests/support/cuda_training.h"
#include "tests/support/golden.h"
#include "weights/load.h"
#include "weights/open.h"

namespace dalle1::test {
namespace {

struct Features {
  std::vector<float> images, texts, cosines;
};

Features run(Device& device, const weights::Checkpoint& checkpoint, DType matrices,
             const std::vector<Image>& pictures, const NpyArray& tokens) {
  clip::Clip model(clip::clip_config_from_json(checkpoint.config), device, matrices);
  weights::load_parameters(model, checkpoint);
  Context context(device);
  const Tensor pixels = clip::preprocess(device, model.config(), pictures);
  const Tensor images = model.encode_images(context, pixels);
  const Tensor texts =
      model.encode_texts(context, Tensor::from(device, Shape(tokens.shape), tokens.to_i64()));
  CHECK(images.dtype() == DType::f32);
  CHECK(texts.dtype() == DType::f32);
  return {images.to_floats(), texts.to_floats(), clip::cosines(images, texts).to_floats()};
}

double largest_difference(const std::vector<float>& found, const std::vector<float>& expected) {
  REQUIRE(found.size() == expected.size());
  double largest = 0;
  for (size_t i = 0; i < found.size(); ++i)
    largest = std::max(largest, std::abs(double{found[i]} - expected[i]));
  return largest;
}

void check_clip(const std::string& set, const std::string& name) {
  const auto checkpoint = weights::open_checkpoint({golden(set + "/" + name + "_jit.pt")}, nullptr, "clip");
  std::vector<Image> pictures;
  for (const std::string picture : {"port97x181.png", "small24.png"})
    pictures.push_back(read_image(golden(set + "/" + picture)));
  const NpyArray tokens = read_npy(golden(set + "/" + name + "_tokens.npy"));
  const auto cpu = make_cpu_device(2), gpu = make_cuda_device(0);
  Device& cuda = *gpu;
  const Features expected = run(*cpu, checkpoint, DType::f32, pictures, tokens);
  const Features whole = run(cuda, checkpoint, DType::f32, pictures, tokens);
  check_close("f32 images", whole.images, expected.images, 1e-5);
  check_close("f32 texts", whole.texts, expected.texts, 1e-5);

  const Features rounded = run(cuda, checkpoint, DType::bf16, pictures, tokens);
  check_close("bf16 images", rounded.images, expected.images, 1e-2);
  check_close("bf16 texts", rounded.texts, expected.texts, 1e-2);
  check_figure("bf16 cosines", largest_difference(rounded.cosines, expected.cosines), 5e-3);
  CHECK(run(cuda, checkpoint, DType::bf16, pictures, tokens).cosines == rounded.cosines);
}

clip::ClipConfig small_config(bool resnet) {
  nlohmann::json json = {{"embed_dim", 16},         {"image_resolution", 32},  {"vision_layers", 1},
                         {"vision_width", 64},      {"vision_patch_size", 8},  {"context_length", 8},
                         {"vocab_size", 16},        {"transformer_width", 32}, {"transformer_heads", 1},
                         {"transformer_layers", 1}, {"end_token", 3}};
  if (resnet) {
    json["vision_layers"] = {1, 1, 1, 1};
    json["vision_width"] = 8;
    json["vision_patch_size"] = nullptr;
  }
  return clip::clip_config_from_json(json);
}

Trained train_clip(bool resnet, Device& device, DType compute) {
  constexpr int64_t pairs = 4, side = 32;
  clip::Clip model(small_config(resnet), device, Precision::training(compute, device));
  model.initialise(7);
  RandomStream draws(5, Stream::test);
  std::vector<float> pixels(pairs * 3 * side * side);
  for (float& value : pixels) value = draws.normal();
  std::vector<int64_t> ids;
  for (int64_t pair = 0; pair < pairs; ++pair) ids.insert(ids.end(), {2, 4 + pair, 9 - pair, 3});
  const Tensor images = Tensor::from(device, {pairs, 3, side, side}, pixels);
  const Tensor texts = Tensor::from(device, {pairs, 4}, ids);
  const Tensor excluded = Tensor::zeros(device, {pairs, pairs});
  return trained(
      device, model, 8,
      [&](Context& context) {
        const Tensor seen = model.encode_images(context, images), read = model.encode_texts(context, texts);
        CHECK(seen.dtype() == DType::f32);
        CHECK(read.dtype() == DType::f32);
        return clip::contrastive_loss(context, seen, read, pairs, model.logit_scale(), excluded);
      },
      [](const std::string& name) { return name.find("running_") == name.npos; });
}

// Cosines differ by up to 0.002 in bf16, as above, and the logits are 14 times these.
void check_clip_training(bool resnet) {
  check_training_types({2e-2, 5e-2},
                       [&](Device& device, DType compute) { return train_clip(resnet, device, compute); });
}

}  // namespace

CUDA_CHECK("training of CLIP with a Vision Transformer") { check_clip_training(false); }
CUDA_CHECK("training of CLIP with a ResNet") { check_clip_training(true); }
CUDA_CHECK("CLIP with a Vision Transformer") { check_clip("openai_clip_vit", "small"); }
CUDA_CHECK("CLIP with a ResNet") { check_clip("openai_clip_rn", "rn"); }

}  // namespace dalle1::test
