// The description of the server for programs: OpenAPI 3.1, made of what the code itself reads.
#pragma once

#include "rerank/results.h"
#include "tools/serve/image_request.h"

namespace dalle1::serve {

/// Bodies of requests: content types and JSON Schemas of their fields, with ranges, choices, defaults and
/// help.
rerank::Json image_body(ImageTask task);
rerank::Json rank_body();
rerank::Json embeddings_body();
rerank::Json captions_body();

rerank::Json openapi_document();

}  // namespace dalle1::serve
