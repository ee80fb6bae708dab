// The library as a program of one's own uses it: models loaded once, two prompts from two threads, one run
// kept in memory and one in a folder. Runs as a test on a tiny random model.
#include <doctest/doctest.h>

#include <thread>

#include "rerank/run_folder.h"
#include "rerank/session.h"
#include "tests/support/golden.h"
#include "tests/tools/tiny_model.h"

using namespace dalle1;

TEST_CASE("example: one session serves two prompts from two threads") {
  const test::ScratchDir scratch;
  const auto device = make_device("cpu", 2);
  auto parts = rerank::open_model(test::tiny_model());
  const auto precision = rerank::advised_precision(parts.sampling, *device);
  rerank::Session session(rerank::ModelSet(std::move(parts), "clip", device, precision));

  rerank::GenerationOptions cat;
  cat.prompt = "a red cat";
  cat.candidates = 8;
  cat.keep = 2;
  // A request may come as JSON; what is missing keeps its default.
  const auto dog = rerank::generation_options_from_json(
      {{"prompt", "a blue dog"}, {"candidates", 6}, {"keep", 3}, {"seed", 7}, {"top_k", 50}});

  rerank::MemorySink in_memory;
  rerank::RunFolder in_folder(scratch / "dogs", rerank::Existing::refuse, dog.result_options());
  rerank::PipelineResult cats, dogs;
  std::thread first([&] { cats = session.generate(cat, in_memory); });
  std::thread second([&] { dogs = session.generate(dog, in_folder); });
  first.join();
  second.join();

  CHECK(cats.candidates_done == 8);
  REQUIRE(in_memory.pictures().size() == 2);
  CHECK(in_memory.rows().size() == 8);
  CHECK(in_memory.pictures()[0].row.candidate == cats.best[0].candidate);
  CHECK(in_memory.sheet().width > in_memory.pictures()[0].picture.width);
  CHECK(dogs.best.size() == 3);
  CHECK(std::filesystem::exists(scratch / "dogs" / dogs.best[0].file));

  // A request gives the same pictures again, whatever else the session has done.
  rerank::MemorySink again;
  session.generate(cat, again);
  CHECK(again.pictures()[1].picture.pixels == in_memory.pictures()[1].picture.pixels);

  cat.scorer = "caption";
  CHECK_THROWS_WITH_AS(session.generate(cat, again),
                       "the scorer caption needs a part of the model that was not opened", Error);
  CHECK_THROWS_WITH_AS(rerank::generation_options_from_json({{"prompt", "x"}, {"sead", 1}}),
                       "unknown field 'sead'; did you mean 'seed'?", Error);
  CHECK_THROWS_WITH_AS(rerank::generation_options_from_json({{"top_p", 0}}),
                       doctest::Contains("'top_p' must be a number"), Error);
}
