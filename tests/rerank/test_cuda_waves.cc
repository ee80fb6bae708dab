// A run on a GPU gives a candidate the same bits however the run was asked for.
#include <map>

#include "rerank/transformer_source.h"
#include "tests/rerank/fakes.h"
#include "tests/rerank/folder_run.h"
#include "tests/support/cuda_check.h"
#include "tests/support/golden.h"
#include "tests/transformer/small_models.h"

namespace dalle1::test {
namespace {

using namespace rerank;

struct Drawn {
  std::vector<int32_t> tokens;
  double log_likelihood = 0;
  bool operator==(const Drawn&) const = default;
};

std::map<uint32_t, Drawn> draw(Device& device, std::shared_ptr<const Transformer> model,
                               const FolderRun& options, const ProgressCallback& progress = {}) {
  transformer::DecodeRequest request;
  request.text = transformer::fill_text_slots(model->config(), {3, 1, 4}, {});
  request.sampling.seed = 3;
  TransformerSource source(std::move(model), device, request);
  FakeDecoder decoder;
  FakeScorer scorer;
  run_pipeline(source, decoder, scorer, options, progress);
  std::map<uint32_t, Drawn> drawn;
  for (const auto& row : read_results(options.folder / "results.jsonl"))
    drawn[row.candidate] = {row.tokens, row.log_likelihood};
  return drawn;
}

FolderRun options_for(const std::filesystem::path& folder) {
  FolderRun options;
  options.folder = folder;
  options.draw(30);
  options.info.request.keep = 2;
  options.wave = 11;
  options.whole_waves = true;
  return options;
}

}  // namespace

CUDA_CHECK("candidates of --only and --resume have the bits of the whole run") {
  const auto cuda = make_cuda_device(0);
  const auto cpu = make_cpu_device(1);
  Transformer source = small_model(*cpu, small_config("paper", 4));
  auto model = std::make_shared<Transformer>(*cuda, source.config(), DType::bf16);
  std::vector<Tensor> parameters;
  source.visit([&](const std::string&, Tensor& parameter) { parameters.push_back(parameter); });
  size_t next = 0;
  model->visit([&](const std::string&, Tensor& parameter) {
    parameter = parameters[next++].to(*cuda).to(parameter.dtype());
  });
  ScratchDir scratch;
  const auto all = draw(*cuda, model, options_for(scratch / "all"));
  REQUIRE(all.size() == 30);

  auto options = options_for(scratch / "only");
  options.draw_only({4, 17, 29});
  const auto only = draw(*cuda, model, options);
  REQUIRE(only.size() == 3);
  for (const auto& [candidate, drawn] : only) {
    CHECK(drawn.tokens == all.at(candidate).tokens);
    CHECK(drawn.log_likelihood == all.at(candidate).log_likelihood);
  }

  options = options_for(scratch / "cut");
  const auto stop = [](const PipelineProgress& p) { return p.candidates_done < 11; };
  CHECK(draw(*cuda, model, options, stop).size() == 11);
  options.existing = Existing::resume;
  CHECK(draw(*cuda, model, options) == all);
}

}  // namespace dalle1::test
