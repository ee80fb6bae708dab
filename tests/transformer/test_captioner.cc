// The captioner: cached decoding, batches, likelihoods and gradients of a small model.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <numeric>

#include "core/grad/tape.h"
#include "core/random/philox.h"
#include "transformer/caption_decoder.h"
#include "transformer/caption_loss.h"
#include "transformer/sampler.h"

namespace dalle1::test {
namespace {

using namespace transformer;

// 12 text slots, 20 words, a 5x5 grid of 11 codes, CLIP embeddings of 6 numbers, two heads of 8.
CaptionerConfig small_captioner_config(const std::string& condition) {
  CaptionerConfig config;
  config.layers = 2;
  config.width = 16;
  config.heads = 2;
  config.text_slots = 12;
  config.text_vocab = 20;
  config.condition = condition;
  config.grid = 5;
  config.image_vocab = 11;
  config.code_width = 8;
  config.embed_dim = 6;
  config.prefix = 3;
  return config;
}

Captioner small_captioner(Device& device, const CaptionerConfig& config) {
  Captioner model(device, config);
  uint32_t index = 0;
  model.visit([&](const std::string& name, Tensor& parameter) {
    RandomStream draws(1, Stream::test, index++);
    const float centre = name.find("norm.weight") != std::string::npos ? 1.0f : 0.0f;
    for (int64_t i = 0; i < parameter.numel(); ++i) parameter.floats()[i] = centre + 0.3f * draws.normal();
    parameter.touch();
  });
  return model;
}

CaptionCondition small_pictures(Device& device, const CaptionerConfig& config, int64_t count) {
  RandomStream draws(3, Stream::test, 50);
  std::vector<int64_t> codes;
  std::vector<float> embeddings;
  for (int64_t i = 0; i < count * config.grid * config.grid; ++i)
    codes.push_back(draws.below(static_cast<uint32_t>(config.image_vocab)));
  for (int64_t i = 0; i < count * config.embed_dim; ++i) embeddings.push_back(draws.normal());
  return {Tensor::from(device, {count, config.grid, config.grid}, codes),
          Tensor::from(device, {count, config.embed_dim}, embeddings)};
}

CaptionCondition only(const CaptionCondition& condition, int64_t b) {
  return {condition.codes.rows(b, b + 1), condition.embedding.rows(b, b + 1)};
}

// What an error of this kind says; empty where none comes.
std::string error_of(ErrorKind kind, const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.kind() == kind ? error.what() : fmt::format("of another kind: {}", error.what());
  }
  return {};
}

const std::vector<std::vector<int32_t>> kTexts = {{4, 7, 19}, {1}, {0, 5, 5, 2, 11, 3, 9, 8, 10, 6, 1}, {}};

CaptionRows rows_of(Device& device, const CaptionerConfig& config,
                    const std::vector<std::vector<int32_t>>& texts) {
  return caption_rows(device, config, texts, false);
}

}  // namespace

TEST_CASE("a captioner's configuration is read, written and refused by its fields") {
  const auto config = small_captioner_config("both");
  CHECK(captioner_config_from_json(to_json(config)) == config);
  CHECK(captioner_config_from_json({{"condition", "clip"}}).picture_vectors() == 8);
  CHECK(captioner_config_from_json({{"grid", 32}}).picture_vectors() == 64);
  CHECK(captioner_config_from_json({{"grid", 16}}).picture_vectors() == 16);
  const auto refusal = [](const nlohmann::json& json) {
    return error_of(ErrorKind::model, [&] { captioner_config_from_json(json); });
  };
  CHECK(refusal({{"widht", 3}}) == "captioner configuration: unknown field 'widht'; did you mean 'width'?");
  CHECK(refusal({{"width", 16}, {"heads", 3}}).find("no multiple of 3 heads") != std::string::npos);
  CHECK(refusal({{"condition", "pixels"}}).find("condition") != std::string::npos);
  CHECK(refusal({{"layers", "two"}}).find("'layers'") != std::string::npos);
  CHECK(refusal(nlohmann::json::array()).find("captioner configuration: ") == 0);
}

TEST_CASE("codes of another grid or dVAE and ids of another tokenizer are refused in one line") {
  CaptionerConfig config;
  config.dvae_sha256 = "aaaaaaaaaaaaaaaa";
  config.tokenizer_sha256 = "cccc";
  check_inputs(config, {32, 8192, "aaaaaaaaaaaaaaaa", "cccc"}, "codes");
  check_inputs(config, {32, 8192, "", ""}, "codes");
  const auto refusal = [&](const TokenShardInfo& info) {
    return error_of(ErrorKind::model, [&] { check_inputs(config, info, "shards"); });
  };
  CHECK(refusal({16, 8192, "", ""}) ==
        "shards: grids of 16 with 8192 codes; this captioner reads grids of 32 with 8192 codes: use one that "
        "was trained on such grids");
  CHECK(
      refusal({32, 8192, "bbbbbbbbbbbbbbbb", ""}) ==
      "shards: codes of another dVAE (bbbbbbbbbbbb...) than this captioner's (aaaaaaaaaaaa...): use the dVAE "
      "it was trained with");
  CHECK(refusal({32, 8192, "", "dddd"}).find("another tokenizer") != std::string::npos);
}

TEST_CASE("a batch of pictures and texts has the likelihoods of each by itself") {
  auto device = make_cpu_device(2);
  Context context(*device);
  for (const std::string condition : {"grid", "clip", "both"}) {
    CAPTURE(condition);
    const auto config = small_captioner_config(condition);
    const Captioner model = small_captioner(*device, config);
    const auto pictures = small_pictures(*device, config, 4);
    const auto together = log_likelihood(context, model, model.picture_vectors(context, pictures),
                                         rows_of(*device, config, kTexts));
    for (int64_t b = 0; b < 4; ++b) {
      const auto alone = log_likelihood(context, model, model.picture_vectors(context, only(pictures, b)),
                                        rows_of(*device, config, {kTexts[static_cast<size_t>(b)]}));
      CHECK(alone == std::vector<double>{together[static_cast<size_t>(b)]});
    }
  }
}

TEST_CASE("cached decoding equals the whole forward pass, and a likelihood is the sum of its steps") {
  auto device = make_cpu_device(1);
  Context context(*device);
  for (const std::string condition : {"grid", "clip", "both"}) {
    CAPTURE(condition);
    const auto config = small_captioner_config(condition);
    const Captioner model = small_captioner(*device, config);
    const Tensor vectors = model.picture_vectors(context, small_pictures(*device, config, 3));
    for (const float temperature : {0.0f, 1.0f}) {
      CaptionRequest request;
      request.count = temperature > 0 ? 3 : 1;
      request.rule.temperature = temperature;
      request.seed = 9;
      const auto captions = write_captions(context, model, vectors, request);
      REQUIRE(captions.size() == static_cast<size_t>(3 * request.count));
      for (size_t i = 0; i < captions.size(); ++i) {
        const auto b = static_cast<int64_t>(i) / request.count;
        const Caption& caption = captions[i];
        CHECK(caption.ids.size() <= 12);
        if (!caption.complete) continue;  // its end has no likelihood
        const auto whole =
            log_likelihood(context, model, vectors.rows(b, b + 1), rows_of(*device, config, {caption.ids}));
        CHECK(caption.log_likelihood == doctest::Approx(whole[0]).epsilon(1e-5));
      }
    }
  }
}

TEST_CASE("greedy captions take the likeliest token of the whole forward pass at each step") {
  auto device = make_cpu_device(1);
  Context context(*device);
  const auto config = small_captioner_config("grid");
  const Captioner model = small_captioner(*device, config);
  const Tensor vectors = model.picture_vectors(context, small_pictures(*device, config, 2));
  const auto captions = write_captions(context, model, vectors, {});
  for (int64_t b = 0; b < 2; ++b) {
    std::vector<int64_t> inputs{config.bos()};
    for (const int32_t id : captions[static_cast<size_t>(b)].ids) inputs.push_back(id);
    inputs.resize(std::min<size_t>(inputs.size(), 12));
    const auto slots = static_cast<int64_t>(inputs.size());
    WholeSequence sequence(model.patterns(), config.heads);
    const Tensor x = model.embed(context, vectors.rows(b, b + 1), Tensor::from(*device, {1, slots}, inputs));
    const auto logits = model.logits(context, model.trunk(context, x, sequence)).to_floats();
    for (int64_t s = 0; s < slots; ++s) {
      const auto first = logits.begin() + (config.sequence().text().begin + s) * config.classes();
      const auto best = std::max_element(first, first + config.classes()) - first;
      const auto& ids = captions[static_cast<size_t>(b)].ids;
      const auto at = static_cast<size_t>(s);
      if (at < ids.size()) CHECK(best == ids[at]);
      if (at == ids.size()) CHECK(best == config.eos());
    }
  }
}

TEST_CASE("a picture's captions are the same alone and among others") {
  auto device = make_cpu_device(2);
  Context context(*device);
  const auto config = small_captioner_config("both");
  const Captioner model = small_captioner(*device, config);
  const auto pictures = small_pictures(*device, config, 3);
  CaptionRequest request;
  request.count = 2;
  request.rule.temperature = 0.9f;
  const auto together = write_captions(context, model, model.picture_vectors(context, pictures), request);
  for (int64_t b = 0; b < 3; ++b) {
    const auto alone =
        write_captions(context, model, model.picture_vectors(context, only(pictures, b)), request);
    for (size_t k = 0; k < 2; ++k) {
      CHECK(alone[k].ids == together[static_cast<size_t>(2 * b) + k].ids);
      CHECK(alone[k].log_likelihood == together[static_cast<size_t>(2 * b) + k].log_likelihood);
    }
  }
  request.count = 0;
  CHECK_THROWS_AS(write_captions(context, model, model.null_vectors(context), request), Error);
}

TEST_CASE("a dropped picture is no picture, whatever it was") {
  auto device = make_cpu_device(1);
  Context context(*device);
  const auto config = small_captioner_config("both");
  const Captioner model = small_captioner(*device, config);
  const auto pictures = small_pictures(*device, config, 3);
  const std::vector<uint8_t> dropped{0, 1, 0};
  const auto given = model.picture_vectors(context, pictures).to_floats();
  const auto mixed = model.picture_vectors(context, pictures, dropped).to_floats();
  const auto null = model.null_vectors(context).to_floats();
  const auto third = [&](const std::vector<float>& all, size_t b) {
    return std::vector<float>(all.begin() + static_cast<std::ptrdiff_t>(b * null.size()),
                              all.begin() + static_cast<std::ptrdiff_t>((b + 1) * null.size()));
  };
  CHECK(third(mixed, 0) == third(given, 0));
  CHECK(third(mixed, 1) == null);
  CHECK(third(mixed, 2) == third(given, 2));
}

TEST_CASE("a captioner's gradient is that of finite differences") {
  auto device = make_cpu_device(1);
  for (const std::string condition : {"grid", "both"}) {
    CAPTURE(condition);
    const auto config = small_captioner_config(condition);
    Captioner model = small_captioner(*device, config);
    const auto pictures = small_pictures(*device, config, 4);
    const std::vector<uint8_t> dropped{0, 0, 0, 1};
    const CaptionRows rows = rows_of(*device, config, kTexts);
    const auto loss = [&](Context& context) {
      return caption_loss(context, model, model.picture_vectors(context, pictures, dropped), rows);
    };
    Tape tape;
    model.visit([&](const std::string&, Tensor& parameter) { tape.watch(parameter); });
    Context context(*device, &tape);
    tape.backward(loss(context));
    Context plain(*device);
    model.visit([&](const std::string& name, Tensor& parameter) {
      CAPTURE(name);
      const auto gradient = tape.gradient(parameter).to_floats();
      const double square = std::inner_product(gradient.begin(), gradient.end(), gradient.begin(), 0.0);
      REQUIRE(square > 0);
      const double h = 2e-3 / std::sqrt(square);
      const auto moved = [&](double by) {
        for (size_t i = 0; i < gradient.size(); ++i)
          parameter.floats()[i] += static_cast<float>(by * gradient[i]);
        parameter.touch();
      };
      moved(h);
      const double above = loss(plain).item();
      moved(-2 * h);
      const double below = loss(plain).item();
      moved(h);
      CHECK((above - below) / (2 * h) == doctest::Approx(square).epsilon(0.02));
    });
  }
}

TEST_CASE("texts that do not fit a captioner are refused or cut") {
  auto device = make_cpu_device(1);
  const auto config = small_captioner_config("grid");
  const std::vector<std::vector<int32_t>> longest{std::vector<int32_t>(11, 1)};
  const std::vector<std::vector<int32_t>> longer{std::vector<int32_t>(14, 1)}, foreign{{20}};
  CHECK(caption_rows(*device, config, longest, false).slots() == 12);
  CHECK(error_of(ErrorKind::input, [&] { caption_rows(*device, config, longer, false); }) ==
        "the text has 14 tokens, 3 more than the captioner takes; shorten it or have it truncated");
  const CaptionRows cut = caption_rows(*device, config, longer, true);
  CHECK(cut.target_count() == 12);
  CHECK(cut.targets.back() == config.eos());
  CHECK(error_of(ErrorKind::model, [&] {
          caption_rows(*device, config, foreign, true);
        }).find("do not belong together") != std::string::npos);
}

}  // namespace dalle1::test
