// The drawing commands' common work: prompts to folders of ranked pictures.
#pragma once

#include <functional>
#include <optional>

#include "rerank/given_picture.h"
#include "tools/draw/draw_options.h"
#include "tools/models/open_model_set.h"

namespace dalle1::tools {

/// Makes the given picture once the model is known but not loaded yet; reports bad pictures early.
using PrepareGiven = std::function<rerank::GivenPicture(const rerank::ModelSet&)>;

/// Runs a drawing command: checks, estimates, loads, draws every prompt. Returns 0; failures are thrown, with
/// ErrorKind::partial where some prompts failed and ErrorKind::interrupted where a signal stopped it.
int draw(const DrawOptions& options, const CommonOptions& common, const PrepareGiven& prepare = {});

/// A picture's file, identified by its content.
std::string sha256_of_input(const std::string& path);

}  // namespace dalle1::tools
