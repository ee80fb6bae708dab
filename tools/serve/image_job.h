// From a request that was read to one that can be drawn by the model that is loaded.
#pragma once

#include "rerank/session.h"
#include "tools/serve/drawing.h"
#include "tools/serve/image_request.h"

namespace dalle1::serve {

/// Fills in what the request leaves open: the model's advice, a seed, and checks everything that can be
/// checked before drawing, so that a bad request does not wait for its turn. Error and ApiError as of
/// reading.
DrawingRequest make_drawing_request(const rerank::ModelSet& models, const ImageRequest& request);

/// ApiError(404) unless `asked` is empty or the name of the loaded model.
void check_model(const rerank::ModelSet& models, const std::string& asked);

/// A PNG or JPEG that a request brings in `field`; ApiError(400) when it is none.
Image picture_of(std::string_view file, const std::string& field);

/// "256x256": the pictures that the model draws.
std::string size_of_pictures(const rerank::ModelSet& models);

}  // namespace dalle1::serve
