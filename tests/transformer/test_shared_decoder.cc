// Requests that share decoding steps against each of them alone.
#include <doctest/doctest.h>

#include <atomic>
#include <numeric>
#include <thread>

#include "tests/transformer/small_models.h"
#include "transformer/decoder.h"
#include "transformer/shared_decoder.h"

namespace dalle1::test {
namespace {

using namespace transformer;

struct Order {
  DecodeRequest request;
  std::vector<uint32_t> candidates;
};

// The k-th request: prompts, seeds, rules, guidance, numbers of candidates and given cells all differ.
Order order(const TransformerConfig& config, int k) {
  Order order;
  DecodeRequest& request = order.request;
  request.text = fill_text_slots(config, {1 + k % 5, 2, 1 + k % 3}, {});
  request.unconditional = empty_text_slots(config, {});
  request.sampling.seed = 100 + k / 2;
  request.sampling.guidance = k % 3 == 0 ? 1.7f : 1.0f;
  request.sampling.rule.temperature = k % 4 == 0 ? 0.7f : 1.0f;
  if (k % 5 == 1) request.sampling.rule.top_k = 3;
  if (k % 4 == 1) {
    request.forced.assign(config.cells(), -1);
    for (int cell = 0; cell < 3 * (k % 6); ++cell)
      if (cell % 5 != 4) request.forced[cell] = (7 * cell + k) % config.image_vocab;
  }
  order.candidates.resize(1 + (k * 5) % 11);
  std::iota(order.candidates.begin(), order.candidates.end(), k % 7);
  return order;
}

SharedDecoder::Exclusive under(std::mutex& device) {
  return [&device](const std::function<void()>& work) {
    const std::lock_guard lock(device);
    work();
  };
}

void check_equal(const Decoded& a, const Decoded& b) {
  CHECK(a.cells == b.cells);
  CHECK(a.tokens == b.tokens);
  CHECK(a.log_likelihood == b.log_likelihood);
  CHECK(a.forced_log_likelihood == b.forced_log_likelihood);
}

}  // namespace

TEST_CASE("groups at other cells, of other prompts and rules, share a step and keep their bits") {
  for (const TransformerConfig& config :
       {small_config("paper", 4), normalised_config("paper", 4), dalle_pytorch_config("paper", 4)}) {
    auto device = make_cpu_device(1);
    Context context(*device);
    const Transformer model = small_model(*device, config);
    std::vector<std::unique_ptr<Prompt>> prompts;
    std::vector<std::unique_ptr<Lockstep>> groups;
    std::vector<Decoded> alone;
    for (int k = 0; k < 6; ++k) {
      Order wanted = order(config, k);
      alone.push_back(Decoder(context, model, wanted.request).decode(wanted.candidates));
      prompts.push_back(std::make_unique<Prompt>(context, model, wanted.request));
      groups.push_back(std::make_unique<Lockstep>(*prompts.back(), wanted.candidates));
    }
    // One more joins at each round.
    for (size_t round = 0;; ++round) {
      std::vector<Lockstep*> stepping;
      for (size_t k = 0; k < groups.size() && k <= round; ++k)
        if (!groups[k]->finished()) stepping.push_back(groups[k].get());
      if (stepping.empty() && round >= groups.size()) break;
      if (!stepping.empty()) step_together(stepping);
    }
    for (size_t k = 0; k < groups.size(); ++k) {
      CAPTURE(k);
      Decoded decoded;
      decoded.cells = config.cells();
      groups[k]->append_to(decoded);
      check_equal(decoded, alone[k]);
    }
  }
}

TEST_CASE("requests from many threads give what each gives alone") {
  const TransformerConfig config = small_config("paper", 4);
  for (const int threads : {1, 2, 3}) {
    for (const int64_t most_rows : {int64_t{8}, int64_t{1000}}) {
      CAPTURE(threads);
      CAPTURE(most_rows);
      auto device = make_cpu_device(threads);
      Context context(*device);
      const Transformer model = small_model(*device, config);
      std::mutex device_mutex;
      SharedDecoder shared(most_rows, under(device_mutex));
      constexpr int kRequests = 20;
      std::vector<std::unique_ptr<Prompt>> prompts;
      std::vector<Decoded> alone, together(kRequests);
      for (int k = 0; k < kRequests; ++k) {
        const Order wanted = order(config, k);
        alone.push_back(Decoder(context, model, wanted.request).decode(wanted.candidates));
        prompts.push_back(std::make_unique<Prompt>(context, model, wanted.request));
      }
      std::vector<std::thread> callers;
      std::atomic<int> reports = 0, strangers = 0;
      for (int k = 0; k < kRequests; ++k) {
        callers.emplace_back([&, k] {
          together[k] = shared.decode(*prompts[k], order(config, k).candidates,
                                      [&](const SharedDecoder::Standing& standing) {
                                        ++reports;
                                        const auto tokens = standing.tokens();
                                        for (int32_t cell = 0; cell < standing.cells; ++cell)
                                          if (tokens[cell] != alone[k].tokens[cell]) ++strangers;
                                        return true;
                                      });
        });
      }
      for (std::thread& caller : callers) caller.join();
      for (int k = 0; k < kRequests; ++k) {
        CAPTURE(k);
        check_equal(together[k], alone[k]);
      }
      CHECK(reports >= kRequests);
      CHECK(strangers == 0);
    }
  }
}

TEST_CASE("who leaves in the middle keeps what was drawn and disturbs nobody; an error of the caller, too") {
  const TransformerConfig config = small_config("paper", 4);
  auto device = make_cpu_device(2);
  Context context(*device);
  const Transformer model = small_model(*device, config);
  std::mutex device_mutex;
  SharedDecoder shared(1000, under(device_mutex));
  const Order first = order(config, 2), second = order(config, 8);
  const Prompt prompt(context, model, first.request), other(context, model, second.request);
  const Decoded alone = Decoder(context, model, first.request).decode(first.candidates);
  for (int round = 0; round < 20; ++round) {
    Decoded whole, part;
    std::thread staying([&] { whole = shared.decode(prompt, first.candidates); });
    std::thread leaving([&] {
      part = shared.decode(other, second.candidates, [](const auto& standing) { return standing.cells < 5; });
    });
    std::thread failing([&] {
      CHECK_THROWS_WITH_AS(shared.decode(other, second.candidates,
                                         [](const auto&) -> bool { fail(ErrorKind::input, "no more"); }),
                           "no more", Error);
    });
    for (std::thread* each : {&staying, &leaving, &failing}) each->join();
    check_equal(whole, alone);
    CHECK(part.cells >= 5);
    const Decoded full = Decoder(context, model, second.request).decode(second.candidates);
    for (int32_t cell = 0; cell < config.cells(); ++cell)
      CHECK(part.tokens[cell] == (cell < part.cells ? full.tokens[cell] : -1));
  }
}

}  // namespace dalle1::test
