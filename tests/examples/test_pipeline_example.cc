// The pipeline as a library: what `dalle1 sample` does, in a page of code. Runs as a test on a tiny random
// model.
#include <doctest/doctest.h>

#include "core/text/tokenizer.h"
#include "dvae/dvae.h"
#include "rerank/dvae_decoder.h"
#include "rerank/pipeline.h"
#include "rerank/run_folder.h"
#include "rerank/transformer_source.h"
#include "tests/support/golden.h"
#include "tests/tools/tiny_model.h"
#include "weights/load.h"
#include "weights/model_dir.h"

using namespace dalle1;

TEST_CASE("example: draw 12 candidates of a prompt, keep 3, stop early") {
  test::ScratchDir scratch;
  const auto model = weights::read_model_dir(test::tiny_model());
  const auto device = make_device("cpu", 2);

  // Models are built from their configuration and filled from their tensors.
  const auto config = transformer::config_from_json(model.parts.at("transformer").config);
  auto transformer = std::make_shared<transformer::Transformer>(*device, config);
  weights::load_parameters(*transformer, model.parts.at("transformer"));
  std::shared_ptr<dvae::Dvae> dvae = dvae::make_dvae(model.parts.at("dvae").config, *device);
  weights::load_parameters(*dvae, model.parts.at("dvae"));

  // A prompt becomes text slots, and with the sampling rule a source of candidates.
  const auto tokenizer = text::open_tokenizer(model.tokenizer->path);
  transformer::DecodeRequest request;
  request.text = transformer::fill_text_slots(config, tokenizer->encode("a red cat"), {});
  request.sampling.seed = 7;
  rerank::TransformerSource source(transformer, *device, request);
  rerank::DvaeDecoder decoder(dvae, *device, config.grid);
  rerank::LikelihoodScorer scorer;

  rerank::PipelineOptions options;
  options.wave = 4;
  options.info.request.prompt = "a red cat";
  options.info.request.seed = 7;
  options.info.request.candidates = 12;
  options.info.request.keep = 3;

  // The callback sees every step and may cancel: here once eight candidates are complete.
  rerank::RunFolder begun(scratch / "cats", rerank::Existing::refuse, options.info.request.result_options());
  const auto first = rerank::run_pipeline(source, decoder, scorer, options, begun,
                                          [](const auto& progress) { return progress.candidates_done < 8; });
  CHECK(first.partial);
  CHECK(first.candidates_done == 8);
  CHECK(std::filesystem::exists(begun.sheet_path()));

  // Resumed, it samples the missing ones only and ranks all.
  rerank::RunFolder resumed(scratch / "cats", rerank::Existing::resume,
                            options.info.request.result_options());
  const auto whole = rerank::run_pipeline(source, decoder, scorer, options, resumed);
  CHECK_FALSE(whole.partial);
  CHECK(whole.candidates_done == 12);
  REQUIRE(whole.best.size() == 3);
  CHECK(whole.best[0].scores[0].second >= whole.best[1].scores[0].second);
  CHECK(std::filesystem::exists(resumed.path() / whole.best[0].file));
}
