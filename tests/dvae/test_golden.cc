// Parity with the published implementations; the README beside each set of files says how they were made.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "core/cpu/cpu_kernels.h"
#include "core/data/npy.h"
#include "core/ops/logit_laplace.h"
#include "dvae/openai_dvae.h"
#include "dvae/picture_batches.h"
#include "dvae/vqgan.h"
#include "tests/support/golden.h"
#include "weights/load.h"
#include "weights/open.h"

using namespace dalle1;
using test::golden;
using test::has_golden;

namespace {

struct Loaded {
  std::shared_ptr<Device> device = make_cpu_device(2);
  std::unique_ptr<dvae::Dvae> model;

  explicit Loaded(const std::vector<std::filesystem::path>& files, const nlohmann::json& config = nullptr) {
    const weights::Checkpoint checkpoint = weights::open_checkpoint(files, config, "dvae");
    model = dvae::make_dvae(checkpoint.config, *device);
    weights::load_parameters(*model, checkpoint);
  }
};

// Largest excess of |a - b| over absolute + relative * |b|; at most 0 when all are within it.
double excess(const std::vector<float>& a, const std::vector<float>& b, double absolute, double relative) {
  REQUIRE(a.size() == b.size());
  double worst = -1;
  for (size_t i = 0; i < a.size(); ++i) {
    worst = std::max(worst, std::abs(a[i] - b[i]) - absolute - relative * std::abs(b[i]));
  }
  return worst;
}

Tensor indices_of(Device& device, const NpyArray& array, const Shape& shape) {
  return Tensor::from(device, shape, std::span<const int64_t>(array.to_i64()));
}

int largest_difference(const Image& a, const Image& b) {
  REQUIRE(a.pixels.size() == b.pixels.size());
  int worst = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) worst = std::max(worst, std::abs(a.pixels[i] - b.pixels[i]));
  return worst;
}

// Of x [1, C, H, W] the channels, rows and columns whose numbers are multiples of the steps, as large sets
// are stored.
std::vector<float> thinned(const Tensor& x, int64_t channel_step, int64_t pixel_step) {
  const std::vector<float> all = x.to_floats();
  const auto& shape = x.shape();
  std::vector<float> kept;
  for (int64_t c = 0; c < shape[1]; c += channel_step)
    for (int64_t i = 0; i < shape[2]; i += pixel_step)
      for (int64_t j = 0; j < shape[3]; j += pixel_step)
        kept.push_back(all[(c * shape[2] + i) * shape[3] + j]);
  return kept;
}

// One picture of the set openai_dvae; large ones keep every 4th logit and every 2nd row and column of the
// decoder's output.
void check_openai_picture(Loaded& loaded, const std::string& name, bool large) {
  CAPTURE(name);
  dvae::Dvae& model = *loaded.model;
  Context context(*loaded.device);
  const std::string prefix = "openai_dvae/" + name;
  const Image picture = to_rgb(read_image(golden(prefix + ".png")));
  const Tensor images = dvae::tensor_of_images(*loaded.device, {picture});
  if (!large)
    CHECK(excess(ops::map_pixels(context, images).to_floats(),
                 read_npy(golden(prefix + "_mapped.npy")).to_f32(), 1e-6, 0) <= 0);

  const NpyArray logits = read_npy(golden(prefix + (large ? "_logits_every4th.npy" : "_logits.npy")));
  CHECK(excess(thinned(model.encode(context, images), large ? 4 : 1, 1), logits.to_f32(), 1e-4, 1e-4) <= 0);
  const NpyArray tokens = read_npy(golden(prefix + "_tokens.npy"));
  const Tensor indices = model.encode_indices(context, images);
  CHECK(indices.shape() == Shape({1, picture.height / 8, picture.width / 8}));
  CHECK(indices.to_ints() == tokens.to_i64());

  const Tensor stats = model.decode_stats(context, indices);
  const NpyArray x_stats = read_npy(golden(prefix + (large ? "_x_stats_every2nd.npy" : "_x_stats.npy")));
  CHECK(excess(thinned(stats, 1, large ? 2 : 1), x_stats.to_f32(), 1e-4, 1e-4) <= 0);
  const Image decoded = dvae::images_of_tensor(model.image_of(context, stats))[0];
  CHECK(largest_difference(decoded, to_rgb(read_image(golden(prefix + "_recon.png")))) <= 1);
}

// Logits [1, K, h, w] less the largest of each place: what all codes share decides nothing.
std::vector<float> relative_to_best(std::vector<float> logits, int64_t codes) {
  const size_t places = logits.size() / static_cast<size_t>(codes);
  for (size_t place = 0; place < places; ++place) {
    float best = logits[place];
    for (size_t i = place; i < logits.size(); i += places) best = std::max(best, logits[i]);
    for (size_t i = place; i < logits.size(); i += places) logits[i] -= best;
  }
  return logits;
}

void check_vqgan(const std::string& prefix, int64_t upsampling, const nlohmann::json& config) {
  CAPTURE(prefix);
  Loaded loaded({golden(prefix + ".ckpt")}, config);
  dvae::Dvae& model = *loaded.model;
  Context context(*loaded.device);
  CHECK(model.upsampling() == upsampling);
  const Tensor images = dvae::tensor_of_images(*loaded.device, {to_rgb(read_image(golden(prefix + ".png")))});
  const NpyArray logits = read_npy(golden(prefix + "_logits.npy"));
  CHECK(excess(relative_to_best(model.encode(context, images).to_floats(), model.codes()),
               relative_to_best(logits.to_f32(), model.codes()), 1e-3, 0) <= 0);
  CHECK(model.encode_indices(context, images).to_ints() ==
        read_npy(golden(prefix + "_indices.npy")).to_i64());

  const NpyArray sequence = read_npy(golden(prefix + "_seq.npy"));
  const int64_t side = std::lround(std::sqrt(static_cast<double>(sequence.shape[1])));
  const Tensor decoded =
      model.decode(context, indices_of(*loaded.device, sequence, {sequence.shape[0], side, side}));
  const NpyArray expected = read_npy(golden(prefix + "_decoded.npy"));
  CHECK(decoded.shape() == Shape(expected.shape));
  CHECK(excess(decoded.to_floats(), expected.to_f32(), 1e-4, 0) <= 0);
}

nlohmann::json config_in(const std::string& name) { return weights::read_config(golden(name).string()); }

void check_discrete_vae(const std::string& name, int downsampling, int codes) {
  CAPTURE(name);
  const auto file = [&](const std::string& what) { return golden("dalle_pytorch/" + name + what); };
  Loaded loaded({file(".pt")});
  dvae::Dvae& model = *loaded.model;
  CHECK(model.downsampling() == downsampling);
  CHECK(model.codes() == codes);
  Context context(*loaded.device);
  const Tensor images = dvae::tensor_of_images(*loaded.device, {to_rgb(read_image(file("_image.png")))});
  CHECK(excess(model.encode(context, images).to_floats(), read_npy(file("_image_logits.npy")).to_f32(), 1e-4,
               1e-4) <= 0);
  const NpyArray tokens = read_npy(file("_image_tokens.npy"));
  CHECK(model.encode_indices(context, images).to_ints() == tokens.to_i64());
  const Tensor stats = model.decode_stats(context, indices_of(*loaded.device, tokens, {1, 8, 8}));
  const auto decoded = read_npy(file("_image_decoded.npy")).to_f32();
  CHECK(excess(stats.to_floats(), decoded, 1e-4, 1e-4) <= 0);
  const auto pixels = model.image_of(context, stats).to_floats();
  for (size_t i = 0; i < pixels.size(); ++i)
    REQUIRE(pixels[i] == doctest::Approx(std::clamp(0.5f * decoded[i] + 0.5f, 0.0f, 1.0f)).epsilon(1e-4));
}

}  // namespace

TEST_CASE("OpenAI's dVAE encodes and decodes as the published code does") {
  Loaded loaded({golden("openai_dvae/encoder_legacy.pkl"), golden("openai_dvae/decoder_legacy.pkl")});
  CHECK(loaded.model->codes() == 512);
  CHECK(loaded.model->downsampling() == 8);
  check_openai_picture(loaded, "legacy_img48", false);
}

TEST_CASE("the Gumbel VQGAN with a wavelet decoder encodes and decodes as the published code does") {
  check_vqgan("rudalle_vqgan/vqgan_f8_dwt", 16, config_in("rudalle_vqgan/vqgan_f8_dwt_config.yml"));
}

TEST_CASE("taming-transformers' VQGANs encode and decode as its code does, with their YAML and without") {
  check_vqgan("taming_vqgan/vq", 4, config_in("taming_vqgan/vq_config.yaml"));
  check_vqgan("taming_vqgan/vq", 4, nullptr);
  check_vqgan("taming_vqgan/gumbel", 2, config_in("taming_vqgan/gumbel_config.yaml"));
  check_vqgan("taming_vqgan/gumbel", 2, nullptr);
}

TEST_CASE("DALLE-pytorch's DiscreteVAE encodes and decodes as its code does, out of a transformer's file") {
  check_discrete_vae("plain", 4, 40);
  check_discrete_vae("reversible", 4, 30);  // without residual blocks
  check_discrete_vae("stable_shared", 8, 64);
}

TEST_CASE("the larger dVAE sets, where DALLE1_GOLDEN names a folder that has them") {
  if (!has_golden("openai_dvae/encoder.pkl")) {
    MESSAGE("left out: 3 sets of 7 MB; set DALLE1_GOLDEN to their folder");
    return;
  }
  Loaded loaded({golden("openai_dvae/encoder.pkl"), golden("openai_dvae/decoder.pkl")});
  check_openai_picture(loaded, "img64", false);
  check_openai_picture(loaded, "img256", true);
  check_vqgan("rudalle_vqgan/vqgan_f8", 8, config_in("rudalle_vqgan/vqgan_f8_config.yml"));
}

TEST_CASE("inference of a dVAE reorders at most twice") {
  Loaded loaded({golden("openai_dvae/encoder_legacy.pkl"), golden("openai_dvae/decoder_legacy.pkl")});
  auto& kernels = dynamic_cast<CpuKernels&>(loaded.device->kernels());
  Context context(*loaded.device);
  const Tensor images = Tensor::full(*loaded.device, {1, 3, 32, 24}, 0.5f);
  const int64_t before = kernels.reorder_count();
  loaded.model->encode(context, images);
  const int64_t encoded = kernels.reorder_count();
  loaded.model->decode_stats(context, Tensor::from(*loaded.device, {1, 1, 2}, std::vector<int64_t>{0, 511}));
  CHECK(encoded - before <= 2);
  CHECK(kernels.reorder_count() - encoded <= 2);
}

TEST_CASE("a picture is encoded and decoded with the same bits in any batch") {
  Loaded loaded({golden("openai_dvae/encoder_legacy.pkl"), golden("openai_dvae/decoder_legacy.pkl")});
  Context context(*loaded.device);
  const Image picture = to_rgb(read_image(golden("openai_dvae/legacy_img48.png")));
  const Image mirrored = flip_horizontal(picture);
  const Tensor one = dvae::tensor_of_images(*loaded.device, {picture});
  const Tensor two = dvae::tensor_of_images(*loaded.device, {mirrored, picture});
  const auto logits = loaded.model->encode(context, two).rows(1, 2).to_floats();
  CHECK(loaded.model->encode(context, one).to_floats() == logits);
  const Tensor codes = loaded.model->encode_indices(context, two);
  const auto stats = loaded.model->decode_stats(context, codes).rows(1, 2).to_floats();
  CHECK(loaded.model->decode_stats(context, codes.rows(1, 2)).to_floats() == stats);
}

TEST_CASE("sizes that are no multiple of 8 are rounded down, and less than one code is refused") {
  Loaded loaded({golden("openai_dvae/encoder_legacy.pkl"), golden("openai_dvae/decoder_legacy.pkl")});
  Context context(*loaded.device);
  CHECK(loaded.model->encode(context, Tensor::full(*loaded.device, {1, 3, 17, 31}, 0.5f)).shape() ==
        Shape({1, 512, 2, 3}));
  CHECK_THROWS_WITH_AS(loaded.model->encode(context, Tensor::full(*loaded.device, {1, 3, 7, 64}, 0.5f)),
                       "a picture of 64x7 is smaller than one code of 8x8", Error);
  const Tensor outside = Tensor::from(*loaded.device, {1, 1, 1}, std::vector<int64_t>{512});
  CHECK_THROWS_AS(loaded.model->decode(context, outside), Error);
}

TEST_CASE("configurations out of range are refused by name") {
  auto device = make_cpu_device(1);
  CHECK_THROWS_AS(dvae::make_dvae({{"kind", "openai"}, {"hidden", 6}}, *device), Error);
  CHECK_THROWS_AS(dvae::make_dvae({{"kind", "openai"}, {"groups", 0}}, *device), Error);
  CHECK_THROWS_AS(dvae::make_dvae({{"kind", "vqgan"}, {"embed_dim", 8}, {"z_channels", 16}}, *device), Error);
  // Nor sizes of which the product overflows.
  CHECK_THROWS_WITH_AS(dvae::make_dvae({{"kind", "vqgan"}, {"ch_mult", {1, int64_t{1} << 60}}}, *device),
                       doctest::Contains("'ch_mult[1]' must be a whole number from 1 to 1024"), Error);
  CHECK_THROWS_AS(dvae::make_dvae({{"kind", "other"}}, *device), Error);
  CHECK_THROWS_WITH_AS(dvae::make_dvae({{"kind", "openai"}, {"post_gain", "large"}}, *device),
                       "dVAE configuration: 'post_gain' must be a number, not \"large\"", Error);
  CHECK_THROWS_WITH_AS(dvae::make_dvae({{"kind", "vqgan"}, {"n_embd", 64}}, *device),
                       "dVAE configuration: unknown field 'n_embd'; did you mean 'n_embed'?", Error);
}

TEST_CASE("configurations are written as checkpoints have them, and what is absent follows from the rest") {
  CHECK(dvae::OpenAiConfig().to_json().dump() ==
        R"({"blocks_per_group":2,"channels":3,"codes":8192,"decoder_init":128,"groups":4,"hidden":256,)"
        R"("kind":"openai","output_channels":6,"pixel_map":"logit_laplace","post_gain":0.015625,)"
        R"("quantiser":"gumbel"})");
  CHECK(dvae::VqganConfig().to_json().dump() ==
        R"({"attn_resolutions":[32],"ch":128,"ch_mult":[1,1,2,4],"dwt":false,"embed_dim":256,)"
        R"("in_channels":3,"kind":"vqgan","n_embed":8192,"num_res_blocks":2,"out_ch":3,"resolution":256,)"
        R"("z_channels":256})");
  const auto read = dvae::OpenAiConfig::from_json(
      {{"channels", 1}, {"groups", 1}, {"post_gain", nullptr}, {"half", "encoder"}});
  CHECK(read.output_channels == 2);
  CHECK(read.post_gain == 0.25f);
}
