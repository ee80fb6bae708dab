// The description of the server for programs: OpenAPI 3.1, made of what the code itself reads.
#pragma once

#include "rerank/results.h"
#include "tools/serve/image_request.h"

namespace dalle1::serve {

/// JSON Schema of the fields that a task takes, with their ranges, choices, defaults and help.
rerank::Json schema_of(ImageTask task);

rerank::Json openapi_document();

}  // namespace dalle1::serve
