#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "core/grad/tape.h"
#include "core/kernels/kernels.h"
#include "core/ops/elementwise.h"
#include "core/ops/reduce.h"
#include "core/random/philox.h"
#include "dvae/picture_metrics.h"
#include "dvae/trainer.h"
#include "tests/support/golden.h"

using namespace dalle1;
using namespace dalle1::dvae;

namespace {

Tensor random_tensor(Device& device, const Shape& shape, uint32_t index, float low, float high) {
  RandomStream random(5, Stream::test, index);
  std::vector<float> values(shape.numel());
  for (float& value : values) value = low + (high - low) * random.uniform();
  return Tensor::from(device, shape, values);
}

OpenAiConfig small_config(const std::string& quantiser) {
  OpenAiConfig config;
  config.hidden = 8;
  config.decoder_init = 8;
  config.groups = 2;
  config.blocks_per_group = 1;
  config.codes = 12;
  config.post_gain = 0.25f;
  config.quantiser = quantiser;
  return config;
}

// The gradient of the whole loss along itself, against differences of the loss in f32: the directional
// derivative is the squared norm, which is large enough for differences to see.
void check_gradient(DvaeTask& task, const Tensor& images, const std::string& part) {
  Device& device = images.device();
  Tape tape;
  std::vector<std::pair<std::string, Tensor>> parameters;
  task.model().visit([&](const std::string& name, Tensor& tensor) {
    if (!task.trainable(name)) return;
    parameters.emplace_back(name, tensor);
    tape.watch(tensor);
  });
  Context context(device, &tape);
  context.seed = 3;
  nlohmann::json log;
  tape.backward(task.loss_of(context, images, log));
  double squares = 0;
  std::vector<Tensor> gradients;
  for (const auto& [name, tensor] : parameters) {
    const bool counts = name.starts_with(part);
    gradients.push_back(counts ? tape.gradient(tensor) : Tensor());
    if (gradients.back().defined()) squares += device.kernels().sum_squares({&gradients.back(), 1});
  }
  REQUIRE(squares > 0);
  const auto loss_at = [&](double distance) {
    const auto scale = static_cast<float>(distance / std::sqrt(squares));
    std::vector<Tensor> held;
    for (size_t i = 0; i < parameters.size(); ++i) {
      Tensor& tensor = parameters[i].second;
      held.push_back(tensor.clone());
      if (gradients[i].defined()) device.kernels().add_scaled(gradients[i], scale, tensor);
      tensor.touch();
    }
    Context plain(device);
    plain.seed = 3;
    nlohmann::json ignored;
    const double loss = task.loss_of(plain, images, ignored).item();
    for (size_t i = 0; i < parameters.size(); ++i) {
      device.copy(parameters[i].second.raw(), held[i].raw(), held[i].bytes());
      parameters[i].second.touch();
    }
    return loss;
  };
  constexpr double h = 4e-3;
  const double numeric = (8 * (loss_at(h) - loss_at(-h)) - (loss_at(2 * h) - loss_at(-2 * h))) / (12 * h);
  CAPTURE(part);
  CHECK(numeric == doctest::Approx(std::sqrt(squares)).epsilon(0.01));
}

// Features of 8 channels for a codebook of 6 codes; ready after one update.
struct SmallQuantiser {
  std::shared_ptr<Device> device = make_cpu_device(1);
  VqOptions options = four_dimensions();
  Tensor features = random_tensor(*device, {2, 8, 4, 4}, 1, -1, 1);

  static VqOptions four_dimensions() {
    VqOptions options;
    options.dimensions = 4;
    options.continuous_steps = 1;
    return options;
  }
  VectorQuantiser make() const { return VectorQuantiser(*device, 6, 8, 5, options, 2); }
};

}  // namespace

TEST_CASE("the gradient of each whole loss is that of its value") {
  auto device = make_cpu_device(1);
  const Tensor images = random_tensor(*device, {2, 3, 8, 8}, 1, 0.1f, 0.9f);
  for (const auto& [reconstruction, quantiser] :
       std::vector<std::pair<Reconstruction, std::string>>{{Reconstruction::logit_laplace, "gumbel"},
                                                           {Reconstruction::mse, "gumbel"},
                                                           {Reconstruction::l1_l2, "vq"}}) {
    DvaeTraining training;
    training.reconstruction = reconstruction;
    training.kl_weight.first = training.kl_weight.last = 6.6;
    DvaeTask task(*device, small_config(quantiser), training, 7);
    CAPTURE(static_cast<int>(reconstruction));
    check_gradient(task, images, "encoder.");
    check_gradient(task, images, "decoder.");
  }
}

// The gradient before the codes is straight-through, so no difference of the loss shows it: behind them only.
TEST_CASE("the gradient behind the codebook is that of the loss of quantised features") {
  auto device = make_cpu_device(1);
  const Tensor images = random_tensor(*device, {2, 3, 8, 8}, 1, 0.1f, 0.9f);
  for (const auto reconstruction :
       {Reconstruction::l1_l2, Reconstruction::mse, Reconstruction::logit_laplace}) {
    DvaeTraining training;
    training.reconstruction = reconstruction;
    training.vq.continuous_steps = 1;
    DvaeTask task(*device, small_config("vq"), training, 7);
    CAPTURE(static_cast<int>(reconstruction));
    Context context(*device);
    nlohmann::json before, after;
    task.loss_of(context, images, before);
    task.after_step(context, 0);
    task.loss_of(context, images, after);
    REQUIRE(after.at("quantisation_error") > 0);
    CHECK(after.at("reconstruction") != before.at("reconstruction"));
    check_gradient(task, images, "decoder.");
    check_gradient(task, images, "vq.output.");
  }
}

TEST_CASE("with a codebook the encoder's gradient passes straight through") {
  const SmallQuantiser small;
  auto& [device, options, features] = small;
  VectorQuantiser vq = small.make();
  Context plain(*device);
  vq.forward(plain, features);
  vq.update(0, 2);
  REQUIRE(vq.has_codebook());

  Tape tape;
  tape.watch(features);
  Context context(*device, &tape);
  const auto output = vq.forward(context, features);
  CHECK(output.commitment.item() == doctest::Approx(options.commitment * vq.last_error()));
  tape.backward(ops::sum(context, output.features));
  const std::vector<float> through = tape.gradient(features).to_floats();

  // The same two projections without a codebook between them.
  VectorQuantiser open = small.make();
  Tape other;
  other.watch(features);
  Context second(*device, &other);
  other.backward(ops::sum(second, open.forward(second, features).features));
  CHECK(through == other.gradient(features).to_floats());
}

TEST_CASE("the commitment's gradient is that of its value, which no change of code makes jump") {
  const SmallQuantiser small;
  auto& [device, options, features] = small;
  VectorQuantiser vq = small.make();
  Context plain(*device);
  CHECK(vq.forward(plain, features).commitment.item() == 0);
  vq.update(0, 2);

  Tape tape;
  tape.watch(features);
  Context context(*device, &tape);
  tape.backward(vq.forward(context, features).commitment);
  const Tensor gradient = tape.gradient(features);
  const double norm = std::sqrt(device->kernels().sum_squares({&gradient, 1}));
  REQUIRE(norm > 0);
  const auto commitment_at = [&](double distance) {
    Tensor moved = features.clone();
    device->kernels().add_scaled(gradient, static_cast<float>(distance / norm), moved);
    return double{vq.forward(plain, moved).commitment.item()};
  };
  constexpr double h = 1e-2;
  CHECK((commitment_at(h) - commitment_at(-h)) / (2 * h) == doctest::Approx(norm).epsilon(0.01));
}

TEST_CASE("vector quantisation is exported to the convolutions of the dVAE's graph") {
  auto device = make_cpu_device(1);
  const OpenAiConfig config = small_config("vq");
  VqOptions options;
  options.dimensions = 3;
  options.continuous_steps = 1;
  OpenAiDvae graph(*device, config);
  initialise(graph, 4);
  VectorQuantiser vq(*device, config.codes, 16, config.decoder_init, options, 4);
  Context context(*device);
  const Tensor images = random_tensor(*device, {2, 3, 16, 16}, 3, 0, 1);
  const Tensor features = graph.encode_features(context, images);
  vq.forward(context, features);
  vq.update(0, 4);
  const Tensor quantised = vq.forward(context, features).features;
  vq.export_to(graph.encoder_output(), graph.decoder_input());

  const Tensor indices = graph.encode_indices(context, images);
  CodeUse use(config.codes);
  use.add(indices.to_ints());
  CHECK(use.used() > 4);
  const std::vector<float> direct = graph.decode_features(context, quantised).to_floats();
  const std::vector<float> exported = graph.decode_stats(context, indices).to_floats();
  for (size_t i = 0; i < direct.size(); ++i) REQUIRE(exported[i] == doctest::Approx(direct[i]).epsilon(1e-3));
}

TEST_CASE("codes that no vector chooses are given to vectors that are far from theirs") {
  auto device = make_cpu_device(1);
  VqOptions options;
  options.dimensions = 2;
  options.continuous_steps = 1;
  options.revive_until = 1000;
  options.decay = 0.5f;
  VectorQuantiser vq(*device, 8, 4, 3, options, 1);
  Context context(*device);
  const Tensor narrow = Tensor::full(*device, {1, 4, 2, 2}, 0.25f);
  vq.forward(context, narrow);
  vq.update(0, 1);
  const Tensor wide = random_tensor(*device, {4, 4, 4, 4}, 1, -3, 3);
  vq.forward(context, wide);
  const double before = vq.last_error();
  for (int64_t step = 1; step < 20; ++step) {
    vq.update(step, 1);
    vq.forward(context, wide);
  }
  CHECK(vq.last_error() < before / 4);
}

TEST_CASE("the divergence from the uniform distribution is 0 for equal logits and ln V for a certain code") {
  auto device = make_cpu_device(1);
  Context context(*device);
  CHECK(divergence_from_uniform(context, Tensor::full(*device, {3, 16}, 2.0f)).item() ==
        doctest::Approx(0.0).epsilon(1e-6));
  std::vector<float> certain(16, 0.0f);
  certain[5] = 100.0f;
  CHECK(divergence_from_uniform(context, Tensor::from(*device, {1, 16}, certain)).item() ==
        doctest::Approx(std::log(16.0)));
}

TEST_CASE("PSNR, SSIM and code use of known pictures") {
  const Image grey(16, 12, 3, 100), lighter(16, 12, 3, 110);
  CHECK(psnr_of(mean_squared_error(grey, lighter)) ==
        doctest::Approx(10 * std::log10(255.0 * 255.0 / 100.0)));
  CHECK(std::isinf(psnr_of(mean_squared_error(grey, grey))));
  CHECK(ssim(grey, grey) == doctest::Approx(1.0));
  // Constant pictures have no variance: only the comparison of means is left.
  const double c1 = 2.55 * 2.55;
  CHECK(ssim(grey, lighter) == doctest::Approx((2 * 100.0 * 110 + c1) / (100.0 * 100 + 110.0 * 110 + c1)));
  CHECK(ssim(Image(3, 2, 3, 9), Image(3, 2, 3, 9)) == doctest::Approx(1.0));
  CodeUse use(8);
  use.add({1, 1, 5, 5});
  CHECK(use.used() == 2);
  CHECK(use.perplexity() == doctest::Approx(2.0));
}
