// Requests that a session draws at the same time, against the pipeline that draws each alone.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "rerank/in_turns.h"
#include "rerank/session.h"
#include "tests/tools/tiny_model.h"

namespace dalle1::test {
namespace {

using namespace rerank;

GenerationOptions request(int k) {
  GenerationOptions options;
  options.prompt = k % 3 == 0 ? "a red cat" : k % 3 == 1 ? "two blue dogs" : "a house";
  options.candidates = 1 + (k * 7) % 12;
  options.keep = 1 + k % 3;
  options.seed = static_cast<uint64_t>(k / 2);
  options.guidance = k % 4 == 1 ? 2.0 : 1.0;
  options.scorer = k % 5 == 2 ? "likelihood" : "clip";
  if (k % 4 == 2) options.top_k = 9;
  if (k % 6 == 5) options.batch = 2;
  if (k % 5 == 3) {
    options.scorer = "clip=1,likelihood=0.5";
    options.prune = options.keep + 1;
  }
  return options;
}

ModelSet tiny_set(int threads) {
  const auto device = make_device("cpu", threads);
  return ModelSet(open_model(shallow_model()), "clip", device, PrecisionName::f32);
}

void check_same(const MemorySink& a, const MemorySink& b) {
  REQUIRE(a.rows().size() == b.rows().size());
  for (size_t i = 0; i < a.rows().size(); ++i) {
    CHECK(a.rows()[i].candidate == b.rows()[i].candidate);
    CHECK(a.rows()[i].scores == b.rows()[i].scores);
    CHECK(a.tokens_of(a.rows()[i].candidate) == b.tokens_of(b.rows()[i].candidate));
  }
  REQUIRE(a.pictures().size() == b.pictures().size());
  for (size_t i = 0; i < a.pictures().size(); ++i)
    CHECK(a.pictures()[i].picture.pixels == b.pictures()[i].picture.pixels);
}

}  // namespace

TEST_CASE("twenty requests at the same time have the pictures that each has alone") {
  constexpr int kRequests = 20;
  for (const int threads : {1, 2}) {
    CAPTURE(threads);
    std::vector<MemorySink> alone(kRequests), together(kRequests);
    auto models = tiny_set(threads);
    models.load();
    for (int k = 0; k < kRequests; ++k) {
      const auto options = request(k);
      PipelineOptions pipeline;
      pipeline.info = models.run_info(options);
      const auto source = models.source(options, options.prompt);
      const auto scorer = models.scorer(parse_scorer(options.scorer), options.prompt, false);
      pipeline.judge_of_tokens = models.judge_of_tokens(options);
      run_pipeline(*source, models.decoder(), *scorer, pipeline, alone[k]);
    }
    Session session(tiny_set(threads));
    std::vector<std::thread> callers;
    for (int k = 0; k < kRequests; ++k)
      callers.emplace_back([&, k] { session.generate(request(k), together[k]); });
    for (std::thread& caller : callers) caller.join();
    for (int k = 0; k < kRequests; ++k) {
      CAPTURE(k);
      check_same(alone[k], together[k]);
    }
  }
}

TEST_CASE("one request's end by force leaves the others alone") {
  Session session(tiny_set(2));
  MemorySink reference, cut, whole;
  session.generate(request(1), reference);
  std::thread other([&] { session.generate(request(1), whole); });
  CHECK_THROWS_WITH_AS(session.generate(request(3), cut,
                                        [](const PipelineProgress& progress) -> bool {
                                          if (progress.tokens_done > 0)
                                            fail(ErrorKind::interrupted, "enough");
                                          return true;
                                        }),
                       "enough", Error);
  other.join();
  check_same(reference, whole);
}

TEST_CASE("turns are taken in the order of arrival, one at a time, whatever fails") {
  DeviceTurns turns;
  std::vector<int> order;
  std::atomic<bool> begun = false, go = false;
  std::thread first([&] {
    turns.take(DeviceTurns::other, [&] {
      begun = true;
      while (!go) std::this_thread::yield();
      order.push_back(0);
    });
  });
  while (!begun) std::this_thread::yield();
  std::thread second([&] {
    CHECK_THROWS_AS(turns.take(DeviceTurns::other, [&] { order.push_back(1), fail(ErrorKind::input, "no"); }),
                    Error);
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  std::thread third([&] { turns.take(DeviceTurns::other, [&] { order.push_back(2); }); });
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  go = true;
  for (std::thread* each : {&first, &second, &third}) each->join();
  CHECK(order == std::vector<int>{0, 1, 2});
}

TEST_CASE("short turns of one kind get as much time as long ones of the other") {
  using std::chrono::milliseconds;
  DeviceTurns turns;
  std::atomic<bool> end = false;
  std::atomic<int> steps = 0, pictures = 0;
  std::thread sampling([&] {
    while (!end)
      turns.take(DeviceTurns::steps, [&] { std::this_thread::sleep_for(milliseconds(1)), ++steps; });
  });
  std::thread decoding([&] {
    while (!end)
      turns.take(DeviceTurns::other, [&] { std::this_thread::sleep_for(milliseconds(50)), ++pictures; });
  });
  while (pictures < 6) std::this_thread::sleep_for(milliseconds(1));
  end = true;
  sampling.join();
  decoding.join();
  CHECK(steps > 60);  // in turns by number they would be as many as the pictures
}

}  // namespace dalle1::test
