// The dVAEs and their training on a GPU against the CPU, in f32 and with blocks in bf16.
#include "dvae/dvae.h"
#include "dvae/picture_batches.h"
#include "dvae/trainer.h"
#include "tests/support/cuda_training.h"
#include "tests/support/golden.h"
#include "weights/load.h"
#include "weights/open.h"

namespace dalle1::test {
namespace {

struct Outcome {
  std::vector<float> logits, stats, picture;
  std::vector<int64_t> codes;
};

// `codes`: those to decode; empty: those of the picture.
Outcome run(Device& device, const weights::Checkpoint& checkpoint, DType blocks, const Image& picture,
            const std::vector<int64_t>& codes = {}) {
  const auto model = dvae::make_dvae(checkpoint.config, device, blocks);
  weights::load_parameters(*model, checkpoint);
  Context context(device);
  const Tensor images = dvae::tensor_of_images(device, {picture});
  const Tensor logits = model->encode(context, images), indices = model->encode_indices(context, images);
  const Tensor given = codes.empty() ? indices : Tensor::from(device, indices.shape(), codes);
  const Tensor stats = model->decode_stats(context, given), drawn = model->image_of(context, stats);
  for (const Tensor& t : {logits, stats, drawn}) {
    CHECK(t.dtype() == DType::f32);
    CHECK(t.layout() == Layout::plain);
  }
  return {logits.to_floats(), stats.to_floats(), drawn.to_floats(), indices.to_ints()};
}

// The mean difference of two pictures in levels of 8 bits.
double levels(const std::vector<float>& found, const std::vector<float>& expected) {
  REQUIRE(found.size() == expected.size());
  double sum = 0;
  for (size_t i = 0; i < found.size(); ++i) sum += std::abs(double{found[i]} - expected[i]);
  return 255 * sum / static_cast<double>(found.size());
}

// `tolerance`: relative, of bf16. Some thirty roundings to 8 bits one after the other leave 0.5% in a trained
// model and 2.5% in one of random weights, whose layers amplify noise as they do signals.
void check_dvae(const weights::Checkpoint& checkpoint, const Image& picture, double tolerance) {
  const auto cpu = make_cpu_device(2), cuda = make_cuda_device(0);
  const Outcome expected = run(*cpu, checkpoint, DType::f32, picture);
  const Outcome whole = run(*cuda, checkpoint, DType::f32, picture);
  CHECK(whole.codes == expected.codes);
  check_close("f32 logits", whole.logits, expected.logits, 1e-5);
  check_close("f32 stats", whole.stats, expected.stats, 1e-5);

  const Outcome rounded = run(*cuda, checkpoint, DType::bf16, picture, expected.codes);
  check_close("bf16 logits", rounded.logits, expected.logits, tolerance);
  check_close("bf16 stats", rounded.stats, expected.stats, tolerance);
  check_figure("bf16 levels of 255", levels(rounded.picture, expected.picture), 50 * tolerance);
  size_t others = 0;
  for (size_t i = 0; i < expected.codes.size(); ++i) others += rounded.codes[i] != expected.codes[i];
  check_figure("bf16 share of other codes",
               static_cast<double>(others) / static_cast<double>(expected.codes.size()), 0.1);
  CHECK(run(*cuda, checkpoint, DType::bf16, picture, expected.codes).logits == rounded.logits);
}

Tensor some_pictures(Device& device) {
  RandomStream draws(5, Stream::test);
  std::vector<float> values(2 * 3 * 16 * 16);
  for (float& value : values) value = 0.1f + 0.8f * draws.uniform();
  return Tensor::from(device, {2, 3, 16, 16}, values);
}

struct DvaeCase {
  std::string quantiser;
  dvae::Reconstruction reconstruction;
  int64_t continuous_steps = 100;
};

Trained train_dvae(const DvaeCase& how, Device& device, DType compute) {
  dvae::OpenAiConfig config;
  config.hidden = 8;
  config.decoder_init = 8;
  config.groups = 2;
  config.blocks_per_group = 1;
  config.codes = 12;
  config.post_gain = 0.25f;
  config.quantiser = how.quantiser;
  dvae::DvaeTraining training;
  training.reconstruction = how.reconstruction;
  training.vq.continuous_steps = how.continuous_steps;
  training.kl_weight.first = training.kl_weight.last = 6.6;
  dvae::DvaeTask task(device, config, training, 7, Precision::training(compute, device));
  const Tensor pictures = some_pictures(device);
  return trained(
      device, task.model(), 8,
      [&](Context& context) {
        if (context.step > 0) task.after_step(context, static_cast<int64_t>(context.step) - 1);
        nlohmann::json log;
        return task.loss_of(context, pictures, log);
      },
      [&](const std::string& name) { return task.trainable(name); });
}

void check_dvae_training(const DvaeCase& how) {
  check_training_types({1e-2, 5e-2},
                       [&](Device& device, DType compute) { return train_dvae(how, device, compute); });
}

Image legacy_picture() { return to_rgb(read_image(golden("openai_dvae/legacy_img48.png"))); }

}  // namespace

CUDA_CHECK("the shipped dVAE") {
  check_dvae(weights::open_checkpoint({golden("../../weights/default/dvae.safetensors")}, nullptr, "dvae"),
             legacy_picture(), 1e-2);
}

CUDA_CHECK("a dVAE of OpenAI's shape") {
  check_dvae(weights::open_checkpoint(
                 {golden("openai_dvae/encoder_legacy.pkl"), golden("openai_dvae/decoder_legacy.pkl")},
                 nullptr, "dvae"),
             legacy_picture(), 3e-2);
}

CUDA_CHECK("training of a dVAE with soft codes") {
  check_dvae_training({"gumbel", dvae::Reconstruction::logit_laplace});
}
CUDA_CHECK("training of a dVAE before its codebook") {
  check_dvae_training({"vq", dvae::Reconstruction::l1_l2});
}
// Features that are rounded make another codebook: the losses fall, too, and that is all that is alike.
CUDA_CHECK("training of a dVAE with its codebook") {
  const DvaeCase how{"vq", dvae::Reconstruction::l1_l2, 2};
  const auto cpu = make_cpu_device(1), cuda = make_cuda_device(0);
  const Trained expected = train_dvae(how, *cpu, DType::f32), whole = train_dvae(how, *cuda, DType::f32),
                rounded = train_dvae(how, *cuda, DType::bf16);
  check_close("f32 losses", whole.losses, expected.losses, 1e-4);
  check_figure("bf16 last loss of the one after the codebook", rounded.losses.back() / rounded.losses[2],
               1.0);
}

CUDA_CHECK("a VQGAN with wavelets") {
  const std::string vqgan = "rudalle_vqgan/vqgan_f8_dwt";
  check_dvae(weights::open_checkpoint({golden(vqgan + ".ckpt")},
                                      weights::read_config(golden(vqgan + "_config.yml").string()), "dvae"),
             to_rgb(read_image(golden(vqgan + ".png"))), 3e-2);
}

}  // namespace dalle1::test
