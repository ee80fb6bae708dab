// What a request for pictures gets: one document, or events while it is drawn.
#pragma once

#include <memory>

#include "tools/serve/drawing.h"
#include "tools/serve/http/exchange.h"
#include "tools/serve/image_request.h"

namespace dalle1::serve {

/// What answers say of a request beside its result.
struct ImageAnswer {
  std::string id, model, size;
  ImageTask task = ImageTask::generation;
  rerank::GenerationOptions options;
  ImageFields fields;
  int grid = 0, text_tokens = 0;
};

std::shared_ptr<DrawingListener> make_listener(ImageAnswer answer, std::shared_ptr<Exchange> exchange);

}  // namespace dalle1::serve
