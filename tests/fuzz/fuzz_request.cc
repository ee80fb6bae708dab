// Requests for pictures to `dalle1 serve`: JSON, and forms with pictures in them. The first byte chooses the
// task and the first line is the content type.
#include "tests/fuzz/fuzz.h"
#include "tools/serve/http/api_error.h"
#include "tools/serve/image_request.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  return dalle1::fuzz::run(data, size, [](const std::string& input) {
    using namespace dalle1::serve;
    if (input.empty()) return;
    const auto task = static_cast<ImageTask>(static_cast<unsigned char>(input[0]) % 3);
    const size_t line = std::min(input.find('\n'), input.size());
    const auto type = input.substr(1, line > 0 ? line - 1 : 0);
    const auto body = input.substr(std::min(line + 1, input.size()));
    const Limits limits;
    try {
      const auto request = read_image_request(task, body, type, limits, 64);
      // What was let through is within the limits.
      if (request.options.candidates > limits.candidates || request.options.keep > limits.keep ||
          request.options.prompt.size() > limits.prompt_bytes)
        std::abort();
    } catch (const ApiError& error) {
      const std::string message = error.what();
      if (error.status < 400 || error.status > 499 || message.empty()) std::abort();
      error_json(error);
    }
  });
}
