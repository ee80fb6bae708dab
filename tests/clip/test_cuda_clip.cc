// CLIP on a GPU against the CPU, in f32 and with products in bf16.
#include "clip/clip.h"
#include "clip/preprocess.h"
#include "core/data/npy.h"
#include "tests/support/cuda_check.h"
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

}  // namespace

CUDA_CHECK("CLIP with a Vision Transformer") { check_clip("openai_clip_vit", "small"); }
CUDA_CHECK("CLIP with a ResNet") { check_clip("openai_clip_rn", "rn"); }

}  // namespace dalle1::test
