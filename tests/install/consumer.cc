// Draws two candidates with the C++ API of an installed dalle1: consumer MODEL_FOLDER PROMPT OUT
#include <cstdio>
#include <numeric>

#include "core/error.h"
#include "core/text/tokenizer.h"
#include "dvae/dvae.h"
#include "rerank/dvae_decoder.h"
#include "rerank/pipeline.h"
#include "rerank/transformer_source.h"
#include "weights/load.h"
#include "weights/model_dir.h"

using namespace dalle1;

namespace {

int draw(const char* folder, const char* prompt, const char* out) {
  const auto model = weights::read_model_dir(folder);
  const auto device = make_device("cpu", 2);
  const auto config = transformer::config_from_json(model.parts.at("transformer").config);
  auto transformer = std::make_shared<transformer::Transformer>(*device, config);
  weights::load_parameters(*transformer, model.parts.at("transformer"));
  std::shared_ptr<dvae::Dvae> dvae = dvae::make_dvae(model.parts.at("dvae").config, *device);
  weights::load_parameters(*dvae, model.parts.at("dvae"));

  const auto tokenizer = text::open_tokenizer(model.tokenizer->path);
  transformer::DecodeRequest request;
  request.text = transformer::fill_text_slots(config, tokenizer->encode(prompt), {});
  rerank::TransformerSource source(transformer, *device, request);
  rerank::DvaeDecoder decoder(dvae, *device, config.grid);
  rerank::LikelihoodScorer scorer;

  rerank::PipelineOptions options;
  options.folder = out;
  options.candidates = {0, 1};
  options.keep = 1;
  options.info.prompt = prompt;
  const auto result = rerank::run_pipeline(source, decoder, scorer, options);
  std::printf("%s\n", (options.folder / result.best.at(0).file).c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  try {
    return draw(argv[1], argv[2], argv[3]);
  } catch (const Error& error) {
    std::fprintf(stderr, "consumer: %s\n", error.what());
    return 1;
  }
}
