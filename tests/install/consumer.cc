// Draws two candidates with the C++ API of an installed dalle1: consumer MODEL_FOLDER PROMPT OUT
#include <cstdio>

#include "rerank/run_folder.h"
#include "rerank/session.h"

using namespace dalle1;

namespace {

int draw(const char* folder, const char* prompt, const char* out) {
  const auto device = make_device("cpu", 2);
  rerank::Session session(rerank::ModelSet(rerank::open_model(folder, "likelihood"), "likelihood", device,
                                           usual_precision(*device)));
  rerank::GenerationOptions request;
  request.prompt = prompt;
  request.scorer = "likelihood";
  request.candidates = 2;
  request.keep = 1;
  rerank::RunFolder sink(out, rerank::Existing::refuse, request.result_options());
  const auto result = session.generate(request, sink);
  std::printf("%s\n", (sink.path() / result.best.at(0).file).c_str());
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
