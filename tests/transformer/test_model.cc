// Configuration, the one forward pass and the loss.
#include <doctest/doctest.h>

#include "core/grad/tape.h"
#include "core/ops/linear.h"
#include "core/ops/softmax.h"
#include "tests/transformer/small_models.h"
#include "transformer/attention_probe.h"

namespace dalle1::test {
namespace {

using namespace transformer;

TEST_CASE("a configuration survives JSON and names what is wrong in it") {
  TransformerConfig config = small_config("list", 2);
  config.schedule.list = {"row", "conv"};
  config.sandwich_norm = true;
  config.norm_eps = 1e-6f;
  CHECK(config_from_json(to_json(config)) == config);
  CHECK(to_json(config)["norm_eps"].dump() == "1e-06");

  CHECK(to_json(TransformerConfig()).dump() ==
        R"({"layers":12,"width":320,"heads":5,"text_length":256,"text_vocab":16384,"grid":32,)"
        R"("image_vocab":8192,"mlp_ratio":4,"activation":"gelu_tanh","sandwich_norm":false,)"
        R"("head_norm":false,"qk_norm":false,"rotary":false,"embedding_norm":false,"norm_eps":1e-05,)"
        R"("start":"none","start_token":2,"layout":"plain","loss":"paper","image_weight":7,"dropout":0,)"
        R"("schedule":{"kind":"paper","kernel":11,"wrap":"raster"}})");

  auto json = nlohmann::json(to_json(config));
  json["schedule"]["list"] = {{{"kind", "row"}}, "conv"};
  CHECK(config_from_json(json) == config);
  json["widht"] = 3;
  CHECK_THROWS_WITH_AS(config_from_json(json), doctest::Contains("unknown field 'widht'"), Error);
  json.erase("widht");
  json["schedule"]["list"] = {"row"};
  CHECK_THROWS_WITH_AS(config_from_json(json), doctest::Contains("1 entries for 2 layers"), Error);
  json["schedule"] = {{"kind", "spiral"}};
  CHECK_THROWS_WITH_AS(config_from_json(json), doctest::Contains("'schedule.kind' is 'spiral'"), Error);
  json["schedule"] = {{"kind", "row"}};
  json["layers"] = "two";
  CHECK_THROWS_WITH_AS(
      config_from_json(json),
      "transformer configuration: 'layers' must be a whole number from 1 to 4096, not \"two\"", Error);
  json["layers"] = 2;
  json["heads"] = 3;
  CHECK_THROWS_WITH_AS(config_from_json(json), doctest::Contains("no multiple of 3 heads"), Error);
}

TEST_CASE("what only DALLE-pytorch has survives JSON, and what does not go together is named") {
  const TransformerConfig config = dalle_pytorch_config("row");
  CHECK(config_from_json(to_json(config)) == config);
  CHECK(config.attention_width() == 28);
  const auto refused = [&](const char* field, const nlohmann::json& value) -> std::string {
    nlohmann::json json = to_json(config);
    json[field] = value;
    try {
      config_from_json(json);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  CHECK(refused("head_width", 15).find("rotary needs heads of a multiple of 2, not 15") != std::string::npos);
  CHECK(refused("head_width", 65536).find("2 heads of 65536 channels") != std::string::npos);
  CHECK(refused("start", "prepended").find("no prepended start") != std::string::npos);
  CHECK(refused("width", 18).find("a width of a multiple of 4, not 18") != std::string::npos);
  CHECK(refused("rotary_kind", "lang").find("'rotary_kind' is 'lang'") != std::string::npos);
}

TEST_CASE("the paper's schedule: columns at 2, 6, ..., 62, a convolution in layer 64, rows elsewhere") {
  TransformerConfig config;
  config.layers = 64;
  int rows = 0, columns = 0;
  for (int layer = 0; layer < 64; ++layer) {
    const auto kind = layer_pattern(config, layer, 256).kind;
    rows += kind == PatternKind::row;
    columns += kind == PatternKind::column;
    CHECK((kind == PatternKind::column) == (layer % 4 == 1));
  }
  CHECK(rows == 47);
  CHECK(columns == 16);
  CHECK(layer_pattern(config, 63, 256).kind == PatternKind::conv);
  config.layers = 6;
  CHECK(layer_pattern(config, 5, 256).kind == PatternKind::conv);
  config.schedule.kind = "rudalle";
  CHECK(layer_pattern(config, 5, 256).kind == PatternKind::column);
}

// A token's own row changes with it, which a prepended start shifts by one; none before does. With such a
// start the last token is no input.
void check_causal(Device& device, const TransformerConfig& config) {
  const int64_t shift = config.prepended() ? 1 : 0, cells = config.cells() - shift;
  const Transformer model = small_model(device, config);
  const TokenBatch batch = small_batch(device, config, 1);
  const auto before = all_logits(model, batch, cells).to_floats();
  for (int64_t changed = 0; changed < config.text_length + cells; ++changed) {
    TokenBatch other{batch.text.clone(), batch.image.clone()};
    const bool in_text = changed < config.text_length;
    int64_t& token = in_text ? other.text.data<int64_t>()[changed]
                             : other.image.data<int64_t>()[changed - config.text_length];
    token = (token + 1) % (in_text ? config.text_vocab : config.image_vocab);
    const auto after = all_logits(model, other, cells).to_floats();
    const auto first = std::mismatch(before.begin(), before.end(), after.begin()).first - before.begin();
    CHECK(first / config.classes() == changed + shift);
  }
}

TEST_CASE("changing a token changes no logit before it") {
  auto device = make_cpu_device(1);
  for (const char* wrap : {"raster", "none", "rudalle-v2"}) {
    for (const auto& schedule : every_schedule()) {
      for (const bool prepended : {false, true}) {
        CAPTURE(schedule);
        CAPTURE(wrap);
        CAPTURE(prepended);
        TransformerConfig config = small_config(schedule);
        config.schedule.wrap = wrap;
        config.start = prepended ? "prepended" : "none";
        config.loss = prepended ? "rudalle_v2" : "paper";
        check_causal(*device, config);
      }
    }
  }
  for (const auto& schedule : every_schedule()) check_causal(*device, dalle_pytorch_config(schedule));
}

TEST_CASE("a forward pass of part of a sequence gives the same logits as the whole") {
  auto device = make_cpu_device(1);
  for (const TransformerConfig& config : {small_config("paper", 4), dalle_pytorch_config("paper", 4)}) {
    const Transformer model = small_model(*device, config);
    const TokenBatch batch = small_batch(*device, config, 2);
    const auto whole = all_logits(model, batch, config.cells() - 1);
    for (int64_t cells : {0, 1, 7}) {
      const auto part = all_logits(model, batch, cells);
      for (int64_t b = 0; b < 2; ++b) {
        for (int64_t i = 0; i < part.dim(1) * part.dim(2); ++i) {
          const float a = part.floats()[b * part.dim(1) * part.dim(2) + i];
          REQUIRE(a == doctest::Approx(whole.floats()[b * whole.dim(1) * whole.dim(2) + i]).epsilon(1e-5));
        }
      }
    }
  }
}

TEST_CASE("the head's loss in pieces equals product and cross entropy, gradients too") {
  auto device = make_cpu_device(1);
  RandomStream draws(3, Stream::test);
  const auto normal = [&](const Shape& shape) {
    Tensor x = Tensor::empty(*device, shape);
    for (int64_t i = 0; i < x.numel(); ++i) x.floats()[i] = draws.normal();
    return x;
  };
  const int64_t rows = 1100, width = 8, classes = 37;  // three pieces, the last one partial
  const Tensor hidden = normal({rows, width});
  const nn::Linear head{normal({classes, width}), normal({classes}), {}, DType::f32, {}};
  std::vector<int64_t> ids(rows);
  for (auto& id : ids) id = draws.below(classes);
  const Tensor targets = Tensor::from(*device, {rows}, ids), weights = normal({rows});

  Tape tapes[2];
  Tensor losses[2];
  for (int fused = 0; fused < 2; ++fused) {
    for (const Tensor& leaf : {hidden, head.weight, head.bias}) tapes[fused].watch(leaf);
    Context context(*device, &tapes[fused]);
    losses[fused] = fused ? head.cross_entropy(context, hidden, targets, weights).loss
                          : ops::cross_entropy(context, ops::linear(context, hidden, head.weight, head.bias),
                                               targets, weights);
    tapes[fused].backward(losses[fused], Tensor::full(*device, {1}, 0.5f));
  }
  CHECK(losses[0].item() == doctest::Approx(losses[1].item()).epsilon(1e-4));
  for (const Tensor& leaf : {hidden, head.weight, head.bias}) {
    const auto plain = tapes[0].gradient(leaf).to_floats(), fused = tapes[1].gradient(leaf).to_floats();
    for (size_t i = 0; i < plain.size(); ++i) REQUIRE(std::abs(plain[i] - fused[i]) < 2e-4f);
  }
}

TEST_CASE("the loss's gradient is that of finite differences, with and without checkpointing") {
  auto device = make_cpu_device(1);
  TransformerConfig config = small_config("paper", 4);
  config.sandwich_norm = config.head_norm = true;
  SUBCASE("the paper's block") {}
  SUBCASE("normalised") { config = normalised_config("paper", 4); }
  SUBCASE("DALLE-pytorch's") { config = dalle_pytorch_config("paper", 4); }
  Transformer model = small_model(*device, config);
  const TokenBatch batch = small_batch(*device, config, 2);
  Tape tape, sparing;
  for (Tape* each : {&tape, &sparing}) {
    model.visit([&](const std::string&, Tensor& parameter) { each->watch(parameter); });
    Context context(*device, each);
    context.training = true;
    each->backward(compute_loss(context, model, batch, {true, each == &sparing}).total);
  }
  Context plain(*device);
  const auto value = [&] { return double{compute_loss(plain, model, batch, {}).total.item()}; };
  model.visit([&](const std::string& name, Tensor& parameter) {
    CAPTURE(name);
    const auto gradient = tape.gradient(parameter).to_floats();
    CHECK(gradient == sparing.gradient(parameter).to_floats());
    RandomStream draws(5, Stream::test, static_cast<uint32_t>(parameter.numel()));
    double directional = 0, norm = 0;
    std::vector<float> direction(gradient.size());
    for (size_t i = 0; i < gradient.size(); ++i) {
      direction[i] = gradient[i] + 1e-3f * draws.normal();
      directional += double{gradient[i]} * direction[i];
      norm += double{direction[i]} * direction[i];
    }
    const auto step = static_cast<float>(3e-3 / std::sqrt(norm));
    const auto moved = [&](float by) {
      for (size_t i = 0; i < direction.size(); ++i) parameter.floats()[i] += by * direction[i];
      parameter.touch();
      return value();
    };
    const double above = moved(step), below = moved(-2 * step);
    moved(step);
    CHECK((above - below) / (2 * step) == doctest::Approx(directional).epsilon(0.02));
  });
}

TEST_CASE("fewer text slots are the same model with a shorter text") {
  auto device = make_cpu_device(1);
  TransformerConfig config = small_config("paper", 4);
  const Transformer model = small_model(*device, config);
  TokenBatch batch = small_batch(*device, config, 2);
  config.text_length = 3;
  batch.text = Tensor::from(*device, {2, 3}, std::vector<int64_t>{1, 2, 22, 4, 21, 22});
  const auto logits = all_logits(model, batch, config.cells());
  CHECK(logits.dim(1) == 3 + config.cells());
  Context context(*device);
  const Loss all = compute_loss(context, model, batch, {true, false});
  const Loss real = compute_loss(context, model, batch, {false, false});
  CHECK(all.image == real.image);
  // Targets 2 | padding 22 (counted as the first) and padding 21 (first) | padding 22 (not counted).
  CHECK(all.text != doctest::Approx(real.text));
}

TEST_CASE("the probe shows probabilities of what the pattern sees, and of nothing else") {
  auto device = make_cpu_device(1);
  Context context(*device);
  const TransformerConfig config = small_config("paper", 4);
  const Transformer model = small_model(*device, config);
  const TokenBatch batch = small_batch(*device, config, 1);
  for (int layer = 0; layer < config.layers; ++layer) {
    const auto weights = probe_attention(context, model, batch, layer, 1, 9);
    const AttentionPattern pattern = layer_pattern(config, layer, config.text_length);
    double sum = 0;
    for (float weight : weights.text) {
      CHECK(weight > 0);
      sum += weight;
    }
    for (int32_t cell = 0; cell < config.cells(); ++cell) {
      CHECK((weights.image[cell] > 0) == pattern.sees(config.text_length + 9, config.text_length + cell));
      sum += weights.image[cell];
    }
    CHECK(sum == doctest::Approx(1));
  }
  CHECK_THROWS_WITH_AS(probe_attention(context, model, batch, 4, 0, 0), doctest::Contains("layers 0 to 3"),
                       Error);
}

TEST_CASE("captions fill the text slots and say by how much they do not fit") {
  TransformerConfig config = small_config("row");
  CHECK(fill_text_slots(config, {5, 6}, {}) == std::vector<int64_t>{5, 6, 22, 23, 24, 25});
  CHECK_THROWS_WITH_AS(fill_text_slots(config, std::vector<int32_t>(9, 1), {}),
                       doctest::Contains("9 tokens, 3 more than"), Error);
  TextSlots options;
  options.truncate = true;
  CHECK(fill_text_slots(config, std::vector<int32_t>(9, 1), options) == std::vector<int64_t>(6, 1));
  config.layout = "bos_eos";
  options.bos = 2;
  options.eos = 3;
  CHECK(fill_text_slots(config, {5}, options) == std::vector<int64_t>{2, 5, 3, 23, 24, 25});
  CHECK(fill_text_slots(config, std::vector<int32_t>(9, 1), options) ==
        std::vector<int64_t>{2, 1, 1, 1, 1, 1});
}

TEST_CASE("with zero ends every class is equally likely at first, and every block the identity") {
  auto device = make_cpu_device(1);
  const TransformerConfig config = normalised_config("paper", 4);
  Transformer model(*device, config);
  model.initialise(3, /*zero_ends=*/true);
  const TokenBatch batch = small_batch(*device, config, 2);
  for (float logit : all_logits(model, batch, config.cells()).to_floats()) REQUIRE(logit == 0.0f);
  Context context(*device);
  const Tensor x = model.embed(context, batch.text, batch.image);
  TransformerConfig none = config;
  none.layers = 1;
  none.schedule.kind = "dense";
  Transformer shallow(*device, none);
  shallow.initialise(3, true);
  const auto deep = model.trunk(context, x, whole_sequence(model, config.text_length));
  CHECK(deep.to_floats() ==
        shallow.trunk(context, x, whole_sequence(shallow, config.text_length)).to_floats());
}

}  // namespace
}  // namespace dalle1::test
